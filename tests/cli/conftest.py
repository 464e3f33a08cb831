"""Running the command line from a test: in this process, or as a process of its own."""

import os
import subprocess
import sys
import types

import click
import pytest

from minillm_cli.main import COMMANDS, main


@pytest.fixture(autouse=True)
def no_traceback(monkeypatch):
    """Errors in one line, also where this shell asks for more."""
    monkeypatch.delenv("MINILLM_TRACEBACK", raising=False)


@pytest.fixture
def minillm(capsys):
    """A function that runs a command line: (exit code, stdout, stderr)."""

    def run(*argv: str) -> tuple[int, str, str]:
        code = main(list(argv))
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def add_command(monkeypatch):
    """A function that makes a click command a subcommand for the length of a test."""

    def add(name: str, command: click.Command) -> None:
        monkeypatch.setitem(COMMANDS, name, "A test's own command.")
        module = types.SimpleNamespace(command=command)
        monkeypatch.setitem(sys.modules, f"minillm_cli.{name}", module)

    return add


@pytest.fixture
def spawn():
    """A function that runs a command line as a process, with changes to its world."""

    def run(
        *argv: str, env: dict | None = None, **kwargs
    ) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "minillm_cli", *argv],
            env={**os.environ, **(env or {})},
            stderr=subprocess.PIPE,
            check=False,
            **{"stdout": subprocess.PIPE, **kwargs},
        )

    return run
