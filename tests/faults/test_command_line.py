"""Command lines that nobody would type on purpose: any command, any options, any
values. What a command makes of them is its own matter; how it ends is not."""

import io
import sys

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minillm_cli.main import COMMANDS, commands

# What keeps a command from measuring or training for long, after it has read its line:
# a text, a table or a device that is not there.
HELD_BACK = {
    "train": ["--data=missing.txt"],
    "scale": ["--data=missing.txt"],
    "finetune": ["--data=missing.csv"],
    "demo": ["--device=nowhere"],
    "bench": ["--device=nowhere"],
    "gradcheck": ["--device=nowhere"],
}
# The first two measure for many seconds; the last goes to the network.
LEFT_OUT = {"doctor", "validate", "data get"}
NUMBERS = [
    "0",
    "-1",
    "1",
    "3",
    "1.5",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "0x7",
    "½",
]
TEXTS = ["", " ", "x", "é", "她", "\u202e\ufeff", "\x07\x1b[31m", "\n", "a=b", "[MASK]"]
PATHS = ["run", "text.txt", "rows.csv", "no/such", ".", "run/run.json", "run/loss.svg"]
ODD = ["-", "--", "--x", "-\N{EN DASH}", "\ud800", "{}", "%s", "$HOME", "a" * 300]
VALUES = st.sampled_from([*NUMBERS, *TEXTS, *PATHS, *ODD]) | st.text(max_size=5)
VALUES = VALUES.filter(lambda text: not text.isdecimal() or len(text) == 1)  # not long


def every_command() -> dict[str, click.Command]:
    """Each command and subcommand by its words."""
    found = {}
    for name in COMMANDS:
        command = commands.get_command(None, name)
        for word, inner in getattr(command, "commands", {"": command}).items():
            found[f"{name} {word}".strip()] = inner
    return {n: c for n, c in found.items() if n not in LEFT_OUT}


def lines(name: str, command: click.Command) -> st.SearchStrategy[list[str]]:
    """Command lines of a command: some of its options, with values of any kind."""
    held_back = HELD_BACK.get(name, [])
    words = []
    for param in command.params:
        flag = param.opts[0]
        if any(word.startswith(f"{flag}=") for word in held_back):
            continue
        value = VALUES
        if isinstance(param.type, click.Choice):
            value = value | st.sampled_from([str(c) for c in param.type.choices])
        if isinstance(param, click.Argument):
            word = st.sampled_from(PATHS[:3]) | value
        elif param.is_flag:
            word = st.just(flag)
        else:
            word = value.map(lambda text, flag=flag: f"{flag}={text}")
        needed = isinstance(param, click.Argument) and param.required
        words.append(word if needed else st.none() | st.none() | word)
    return st.tuples(*words).map(
        lambda some: [
            *name.split(),
            *held_back,
            *(word for word in some if word is not None),
        ]
    )


@pytest.fixture
def inner(here, run, trained, monkeypatch):
    """A folder in the folder, with a run, a text and a table. Nothing on stdin."""
    (here / "rows.csv").write_text("x,y\n1,2\n2,1.5\n3,1.2\n4,1.1\n5,1.0\n")
    inner = here / "inner"
    inner.mkdir()
    for item in ("run", "text.txt", "rows.csv"):
        (here / item).rename(inner / item)
    monkeypatch.chdir(inner)
    monkeypatch.setenv("HOME", str(inner))
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    return inner


@pytest.mark.parametrize("name", every_command())
@settings(
    max_examples=settings.default.max_examples // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_command_line_ends_well(minillm, inner, name, data):
    """With a code of the table, at most one line about an error, no traceback, and
    nothing written outside the folder it was called in."""
    argv = data.draw(lines(name, every_command()[name]))
    code, out, err = minillm(*argv)
    assert code in {0, 1, 2, 3, 4, 5}, (code, err)
    assert "Traceback" not in out + err
    assert "to see where" not in err, "nobody thought of this error"
    errors = [line for line in err.splitlines() if line.startswith("minillm: ")]
    assert len(errors) == (code != 0), err
    assert [item.name for item in inner.parent.iterdir()] == ["inner"]


@pytest.mark.parametrize("step", ["check", "next", "watch"])
def test_half_a_character_is_no_name(minillm, inner, step):
    code, out, err = minillm("exercises", step, "--folder=\ud800")
    assert (code, out) == (2, "")
    assert r"'\ud800/course.toml' is no name in UTF-8" in err
