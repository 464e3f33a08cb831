"""Commands of a test's own; laws that are drawn less often."""

import sys
import types

import click
import pytest

from minillm.laws import fitting
from minillm_cli.main import COMMANDS


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """100 of a law, not 1,000: what intervals hold is asked in tests/scaling."""
    monkeypatch.setattr(fitting, "LARGEST_DRAW", 0)


@pytest.fixture
def add_command(monkeypatch):
    """A function that makes a click command a subcommand for the length of a test."""

    def add(name: str, command: click.Command) -> None:
        monkeypatch.setitem(COMMANDS, name, "A test's own command.")
        module = types.SimpleNamespace(command=command)
        monkeypatch.setitem(sys.modules, f"minillm_cli.{name}", module)

    return add
