"""Commands of a test's own."""

import sys
import types

import click
import pytest

from minillm_cli.main import COMMANDS


@pytest.fixture
def add_command(monkeypatch):
    """A function that makes a click command a subcommand for the length of a test."""

    def add(name: str, command: click.Command) -> None:
        monkeypatch.setitem(COMMANDS, name, "A test's own command.")
        module = types.SimpleNamespace(command=command)
        monkeypatch.setitem(sys.modules, f"minillm_cli.{name}", module)

    return add
