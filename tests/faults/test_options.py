"""Numbers that cannot be, for every option that is one, by every way they can come."""

import contextlib
import dataclasses
import re
import typing

import pytest

from minillm import TrainConfig
from minillm.backend import memory
from minillm.learning.settings import word
from minillm.runs.progress import Reporter

NUMBERS = [
    word(field.name)
    for field in dataclasses.fields(TrainConfig)
    if {int, float} & set(typing.get_args(field.type) or (field.type,))
]
ODD = ["-1", "0", "nan", "inf", "-inf", "1e9", "1000000000", "1" * 30, "1.5", "x", "é"]
INSTEAD = {"tokens": "--steps"}  # what is not said beside it


@pytest.fixture
def text(here):
    (here / "text.txt").write_text("She read all the books of the sea.\n" * 300)
    return here


@pytest.fixture
def impatient(monkeypatch):
    """Whoever starts a run stops it before its first step."""

    def stop(self, record):
        raise KeyboardInterrupt

    monkeypatch.setattr(Reporter, "start", stop)


def option_of(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def by_command_line(here, name, value):
    return [f"{option_of(name)}={value}"], {}


def by_environment(here, name, value):
    return [], {f"MINILLM_TRAIN_{name.upper()}": value}


def by_toml(here, name, value):
    written = repr(value) if value in ("x", "é") else value
    (here / "my.toml").write_text(f"{name} = {written}\n", encoding="utf-8")
    return ["--config=my.toml"], {}


def as_told(value: str) -> str:
    """A pattern for a value as it stands in a message: in TOML 1e9 is 1000000000.0."""
    with contextlib.suppress(ValueError):
        return f"({re.escape(value)}|{re.escape(str(float(value)))})"
    return re.escape(value)


@pytest.mark.parametrize(
    "way",
    [by_command_line, by_environment, by_toml],
    ids=["command line", "environment", "file"],
)
@pytest.mark.parametrize("name", NUMBERS)
def test_an_odd_number_is_refused_or_begins_to_train(
    sees, text, quick, monkeypatch, impatient, way, name
):
    """Refused in a line that names the option and the value, or in one about memory."""
    left_out = {option_of(name), INSTEAD.get(name)}
    others = [option for option in quick if option.split("=")[0] not in left_out]
    for i, value in enumerate(ODD):
        options, environment = way(text, name, value)
        named = f"(?=.*{name.replace('_', '.')})(?=.*{as_told(value)})"
        with monkeypatch.context() as patch:
            for variable, setting in environment.items():
                patch.setenv(variable, setting)
            sees(
                *others,
                *options,
                "--data=text.txt",
                f"--out=run{i}",
                code=(2, 4, 130),
                says=f"({named}|GB of memory|minillm: interrupted$)",
            )


@pytest.mark.parametrize("option", ["lr", "weight-decay"])
@pytest.mark.parametrize("value", ["1e3", "1e300"])
def test_a_run_whose_loss_grows_says_so(sees, text, quick, option, value):
    options = [f"--{option}={value}", "--data=text.txt", "--out=run", "--steps=50"]
    options += ["--save-every=1"]
    says = "diverged in step .* try a smaller --lr"
    sees(*quick, *options, code=5, says=says)
    assert (text / "run" / "diverged.json").exists()


@pytest.mark.parametrize("option", ["--width=10000000", "--batch=100000000"])
def test_more_than_the_memory_holds_is_refused_before_any_is_taken(
    sees, text, quick, monkeypatch, option
):
    monkeypatch.setattr(memory, "total_bytes", lambda: 2_000_000_000)
    says = r"needs at least .*B of memory, and cpu has 2 GB: (--batch|no batch)"
    sees(*quick, option, "--data=text.txt", "--out=run", code=4, says=says)
    assert not (text / "run").exists()
