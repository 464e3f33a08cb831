"""Signals at every moment of a process: among its imports, its last lines, its exit."""

import signal
import subprocess
import sys
import textwrap

import pytest

from minillm_cli import signals

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

CODES = {"SIGINT": (130, "interrupted"), "SIGTERM": (143, "terminated")}
# A process whose signal arrives at a chosen moment. A shell's background jobs, this
# test among them, hand on that Ctrl-C is to be ignored.
SCRIPT = """
import builtins, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["minillm", *sys.argv[1:]]
def arrives():
    signal.raise_signal(signal.{name})
{before}
from minillm_cli.process import run
code = run()
{after}
sys.exit(code)
"""
AMID_IMPORTS = """
real = builtins.__import__
def importing(name, *args):
    if name == {module!r}:
        builtins.__import__ = real
        arrives()
    return real(name, *args)
builtins.__import__ = importing
"""
WHILE_SAYING = """
import click
real = click.echo
def echo(*args, **kwargs):
    arrives()
    return real(*args, **kwargs)
click.echo = echo
"""
IN_A_DEL = """
class Odd:
    def __del__(self):
        arrives()
import minillm_cli.sizes as sizes, time
real = sizes.command.callback
def command(**kwargs):
    Odd()
    time.sleep(0.5)
    real(**kwargs)
sizes.command.callback = command
"""
AT_EXIT = "import atexit; atexit.register(arrives)"
AT_THE_VERY_END = (
    "class Odd:\n    def __del__(self, arrives=arrives): arrives()\nodd = Odd()"
)


def process(name: str, before: str, after: str, *argv: str):
    code = SCRIPT.format(name=name, before=textwrap.dedent(before), after=after)
    return subprocess.run(
        [sys.executable, "-c", code, *argv],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize(
    "module",
    [
        "click",
        *(
            pytest.param(n, marks=pytest.mark.slow)
            for n in ("minillm.errors", "rich.table")
        ),
    ],
)
def test_amid_imports(name, module):
    done = process(name, AMID_IMPORTS.format(module=module), "", "sizes")
    code, word = CODES[name]
    assert (done.returncode, done.stderr.strip()) == (code, f"minillm: {word}")


@pytest.mark.parametrize("name", CODES)
def test_where_python_cannot_raise(name):
    done = process(name, IN_A_DEL, "", "sizes")
    code, word = CODES[name]
    assert (done.returncode, done.stderr.strip()) == (code, f"minillm: {word}")


@pytest.mark.parametrize("name", CODES)
def test_while_an_error_is_told(name):
    done = process(name, WHILE_SAYING, "", "sizes", "--what")
    assert done.returncode == 2
    assert done.stderr.startswith("minillm: No such option")
    assert done.stderr.count("minillm: ") == 1


@pytest.mark.parametrize(
    "name",
    [
        "SIGINT",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("SIGTERM", "SIGHUP")),
    ],
)
@pytest.mark.parametrize(
    "after", ["arrives()", AT_EXIT, AT_THE_VERY_END], ids=["after", "atexit", "the end"]
)
def test_when_all_is_said_it_is_too_late(name, after):
    done = process(name, "", after, "sizes")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr and "minillm: " not in done.stderr
    assert "nano" in done.stdout


def test_signals_are_put_back_for_who_calls_main(minillm):
    before = [signal.getsignal(number) for number in signals.SIGNALS]
    minillm("sizes")
    minillm("sizes", "--what")
    assert [signal.getsignal(number) for number in signals.SIGNALS] == before
