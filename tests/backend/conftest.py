"""The stand-in for CuPy as a backend."""

import importlib.util
import sys
from pathlib import Path

import pytest

from minillm import backend
from minillm.backend import registry, switch

_spec = importlib.util.spec_from_file_location(
    "strict_stand_in", Path(__file__).with_name("strict.py")
)
_module = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _module
_spec.loader.exec_module(_module)


@pytest.fixture
def stand_in():
    """The module with the stand-in's array type."""
    return _module


@pytest.fixture
def strict(monkeypatch):
    """The stand-in, registered; `use("cuda")` finds it. Bodies for a real GPU, where
    there is one, are out of the way."""
    found = backend.add_backend(_module.StrictBackend())
    bodies = {key: body for key, body in registry._bodies.items() if key[0] == "cpu"}
    monkeypatch.setattr(registry, "_bodies", bodies)
    monkeypatch.setattr(switch, "_has_cupy", lambda: True)
    monkeypatch.setattr(switch, "_cuda", lambda index: found)
    yield found
    del switch._by_array_type[_module.StrictArray]


@pytest.fixture
def on_strict(strict):
    """New arrays are made on the stand-in."""
    with backend.use(strict):
        yield strict
