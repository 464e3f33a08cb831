"""The stand-in for CuPy as a backend."""

import sys
from pathlib import Path

import pytest

from minillm import backend
from minillm.backend import registry, switch

# Where `strict.py` and other helpers of these tests lie.
sys.path.insert(0, str(Path(__file__).parent))

import strict as strict_module


@pytest.fixture
def stand_in():
    """The module with the stand-in's array type."""
    return strict_module


@pytest.fixture
def strict(monkeypatch):
    """The stand-in, registered; `use("cuda")` finds it. Bodies for a real GPU, where
    there is one, are out of the way."""
    found = backend.add_backend(strict_module.StrictBackend())
    bodies = {key: body for key, body in registry._bodies.items() if key[0] == "cpu"}
    monkeypatch.setattr(registry, "_bodies", bodies)
    monkeypatch.setattr(switch, "_has_cupy", lambda: True)
    monkeypatch.setattr(switch, "_cuda", lambda index: found)
    yield found
    del switch._by_array_type[strict_module.StrictArray]


@pytest.fixture
def on_strict(strict):
    """New arrays are made on the stand-in."""
    with backend.use(strict):
        yield strict
