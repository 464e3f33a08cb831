"""The frame around the commands: exit codes, one-line errors, help, streams."""

import os
import re
import signal
import subprocess
import sys
import time

import click
import pytest

import minillm as package
from minillm.errors import (
    DataError,
    DeviceError,
    DivergedError,
    Interrupted,
    MinillmError,
    UsageError,
)
from minillm_cli.main import COMMANDS, commands

SUBCOMMANDS = [[name] for name in COMMANDS] + [
    ["data", name] for name in ("list", "get", "show")
]
SUBCOMMANDS += [
    ["exercises", name]
    for name in (
        *("start", "check", "next", "hint", "show", "reset", "watch"),
        *("solve", "pack", "grade"),
    )
]
GROUPS = ["data", "exercises"]


def raising(error: BaseException) -> click.Command:
    @click.command()
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MinillmError("it broke"), 1, "it broke"),
        (UsageError("no such size"), 2, "no such size"),
        (DataError("a.txt: empty"), 3, "a.txt: empty"),
        (DeviceError("no device"), 4, "no device"),
        (DivergedError("loss is nan"), 5, "loss is nan"),
        (MemoryError("12 GiB"), 4, "out of memory: 12 GiB"),
        (FileNotFoundError(2, "No such file", "a.txt"), 3, "a.txt: no such file"),
        (
            PermissionError(13, "Permission denied", "runs"),
            3,
            "runs: Permission denied: change its permissions",
        ),
        (OSError(36, "File name too long", "xxx"), 3, "xxx: File name too long"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Interrupted("after step 3", 130), 130, "after step 3"),
        (Interrupted("after step 3", 143), 143, "after step 3"),
        (EOFError(), 1, "EOFError"),
        (ZeroDivisionError("division by zero"), 1, "ZeroDivisionError: division by"),
        (MinillmError("two\nlines"), 1, "two lines"),
    ],
)
def test_an_error_is_one_line_and_a_code(minillm, add_command, error, code, words):
    add_command("boom", raising(error))
    got, out, err = minillm("boom")
    assert (got, out) == (code, "")
    line = err.strip()  # click ends the line that ^C was typed in
    assert line.startswith("minillm: ")
    assert words in line
    assert "\n" not in line


def test_an_unexpected_error_says_how_to_see_more(minillm, add_command, monkeypatch):
    add_command("boom", raising(RuntimeError("odd")))
    assert "MINILLM_TRACEBACK=1" in minillm("boom")[2]
    monkeypatch.setenv("MINILLM_TRACEBACK", "1")
    assert "raise error\n" in minillm("boom")[2]


@pytest.fixture
def waits(add_command):
    """A command that a signal reaches: what it says as it is unwound."""
    said = []

    @click.command()
    @click.argument("number", type=int)
    def command(number):
        try:
            os.kill(os.getpid(), number)
            time.sleep(0.1)
            said.append("not ended")
        finally:
            said.append("unwound")

    add_command("wait", command)
    return said


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to catch")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_request_to_end_unwinds_and_ends_with_143(minillm, waits, name):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    code, _, err = minillm("wait", str(int(number)))
    assert (code, err) == (143, "minillm: terminated\n")
    assert waits == ["unwound"]
    assert signal.getsignal(number) is before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")
def test_nohup_keeps_a_command_going(minillm, waits):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert minillm("wait", str(int(signal.SIGHUP)))[0] == 0
        assert waits == ["not ended", "unwound"]
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["trian"], "trian"),
        (["train", "--layers", "many"], "'--layers'"),
        (["train", "--frobnicate"], "--frobnicate"),
        (["train", "--size", "huge"], "'huge'"),
        (["generate"], "'RUN'"),
        (["data", "show"], "'DATA'"),
        (["completion", "csh"], "'csh'"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_2(minillm, argv, words):
    code, out, err = minillm(*argv)
    assert (code, out) == (2, "")
    assert err.startswith("minillm: ")
    assert words in err
    assert "--help`." in err
    assert err.count("\n") == 1


def test_a_wrong_value_in_the_environment_is_named(minillm, monkeypatch):
    monkeypatch.setenv("MINILLM_TRAIN_LAYERS", "many")
    code, _, err = minillm("train")
    assert code == 2
    assert "MINILLM_TRAIN_LAYERS" in err


@pytest.mark.parametrize("argv", [[], *SUBCOMMANDS], ids=" ".join)
def test_help_fits_a_screen_and_ends_with_an_example(minillm, argv):
    code, out, err = minillm(*argv, "--help")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    options = [line for line in lines if line.startswith("  -")]
    frame = 7  # usage, what it does, the heading, the example, blank lines
    longest = {"train": len(options) + frame, "": len(COMMANDS) + 18}
    longest["fit"] = len(options) + frame + 3  # and its formula
    assert len(lines) <= longest.get(" ".join(argv), 24)
    assert max(map(len, lines)) <= 80
    assert lines[-1].strip().startswith("Example:  minillm")


@pytest.mark.parametrize("argv", [[], *([name] for name in GROUPS)], ids=" ".join)
def test_a_group_alone_prints_its_help(minillm, argv):
    assert minillm(*argv) == minillm(*argv, "--help")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_their_own_help_says(name):
    command = commands.get_command(click.Context(commands), name)
    assert command.help.splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize("argv", SUBCOMMANDS, ids=" ".join)
def test_every_command_takes_json_and_a_configuration(minillm, argv):
    if argv[0] not in GROUPS or len(argv) > 1:
        out = minillm(*argv, "--help")[1]
        assert "--json" in out
        assert "--config FILE" in out


def test_version(minillm):
    assert minillm("--version")[:2] == (0, f"minillm, version {package.__version__}\n")


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["fit", "--help"]])
def test_help_does_not_import_what_the_commands_need(argv):
    code = (
        "import sys; from minillm_cli.main import main; main(sys.argv[1:]); "
        "print({'numpy', 'matplotlib', 'tokenizers', 'rich'} & set(sys.modules))"
    )
    out = subprocess.check_output([sys.executable, "-c", code, *argv], encoding="utf-8")
    assert out.endswith("set()\n")


def test_chinese_is_printed_whatever_the_locale(spawn, tmp_path):
    book = tmp_path / "书.txt"
    book.write_text("学而时习之，不亦说乎？\n" * 50, encoding="utf-8")
    for extra in ({}, {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        env = {"LC_ALL": "C", "PYTHONIOENCODING": "", **extra}
        done = spawn("data", "show", str(book), env=env)
        assert done.returncode == 0, done.stderr
        assert "学而时习之" in done.stdout.decode("utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows hands no pipe ends on")
def test_a_reader_that_leaves_early_is_no_error_message(spawn):
    for argv in (["data", "list"], ["data", "list", "--json"], ["--help"]):
        read, write = os.pipe()
        os.close(read)
        done = spawn(*argv, stdout=write)
        os.close(write)
        assert done.stderr == b""
        assert done.returncode == 1


def test_nothing_is_coloured_when_no_terminal_listens(spawn):
    assert b"\x1b[" not in spawn("data", "list").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_a_shell(minillm, shell):
    code, out, _ = minillm("completion", shell)
    assert code == 0
    assert "_MINILLM_COMPLETE" in out


def test_completion_completes(spawn):
    env = {"_MINILLM_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
    done = spawn(env={**env, "COMP_WORDS": "minillm si"})
    assert (done.returncode, done.stdout.split()) == (0, [b"plain,sizes"])
    done = spawn(env={**env, "COMP_WORDS": "minillm completion z", "COMP_CWORD": "2"})
    assert done.stdout.split() == [b"plain,zsh"]


def test_a_message_names_no_python_file(minillm):
    _, _, err = minillm("data", "show", "no/such/file")
    assert not re.search(r"\.py\b", err)
