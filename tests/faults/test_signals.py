"""Signals that arrive while something else than a step is on its way."""

import shutil
import signal
import sys
from pathlib import Path

import pytest

from minillm import files
from minillm.learning.worker import Worker
from minillm.runs import checkpoint, logbook
from minillm.runs import train as loop

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

RESUME = ["train", "--resume", "--out", "run"]
GOING_ON = ("run.json", "metrics.jsonl")  # what a run writes anew when it goes on
SIGNALS = [
    (signal.SIGINT, 130, "interrupted"),
    (signal.SIGTERM, 143, "terminated"),
]


@pytest.fixture
def arrives(monkeypatch):
    """A function that has signals arrive at the n-th call of a function, before it does
    anything."""

    def at(place, name: str, *numbers: int, call: int = 1) -> None:
        function = getattr(place, name)
        calls = []

        def interrupted(*args, **kwargs):
            calls.append(1)
            if len(calls) == call:
                for number in numbers:
                    signal.raise_signal(number)
            return function(*args, **kwargs)

        monkeypatch.setattr(place, name, interrupted)

    return at


@pytest.fixture
def trains(here, trained, quick) -> list[str]:
    """The command line that did the run `trained`, to do it again in this folder."""
    shutil.copy(trained / "text.txt", here)
    return [*quick, "--data", "text.txt", "--out", "run", "--keep", "9"]


def weights(folder: Path) -> bytes:
    newest = checkpoint.latest(folder / "run" / "checkpoints")
    return (newest / "model.safetensors").read_bytes()


@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
def test_while_the_text_is_prepared(sees, here, trains, arrives, number, code, word):
    arrives(loop, "prepare", number)
    sees(*trains, code=code, says=f"^minillm: {word}$")
    assert not (here / "run").exists()


@pytest.mark.parametrize(("number", "code", "_"), SIGNALS)
def test_in_an_evaluation(sees, here, trained, trains, arrives, number, code, _):
    arrives(Worker, "evaluate", number, call=3)
    says = "after step 3, checkpoint written; go on with: minillm train --resume"
    sees(*trains, "--eval-every=1", code=code, says=says)
    sees(*RESUME, code=0, besides=GOING_ON)
    assert weights(here) == weights(trained)


def test_in_the_last_evaluation_the_run_is_finished(sees, run, trains, arrives):
    shutil.rmtree(run)
    arrives(Worker, "evaluate", signal.SIGINT, call=6)
    sees(*trains, code=0)
    sees(*trains, code=0, says="finished already: nothing trained")


@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
@pytest.mark.parametrize("name", ["_draw", "seconds_per_token"])
def test_after_the_last_step_a_run_is_finished(
    sees, here, trained, trains, arrives, name, number, code, word
):
    arrives(loop if name == "_draw" else logbook, name, number)
    drawing = name == "_draw"  # by then the record is written
    says = f"^minillm: {word}$" if drawing else ""
    sees(*trains, code=code if drawing else 0, says=says)
    sees(*trains, code=0, says="finished already: nothing trained")
    assert weights(here) == weights(trained)
    assert (here / "run" / "loss.svg").exists()


@pytest.mark.parametrize(("number", "code", "_"), SIGNALS)
def test_in_a_save_it_is_finished(
    sees, here, trained, trains, arrives, number, code, _
):
    arrives(checkpoint, "write_arrays", number, call=4)  # the moments of step 4
    sees(*trains, code=code, says="after step 4, checkpoint written")
    assert checkpoint.latest(here / "run" / "checkpoints").name == "step-000004"
    sees(*RESUME, code=0, besides=GOING_ON)
    assert weights(here) == weights(trained)


@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
def test_a_second_one_breaks_a_save_off(
    sees, here, trained, trains, arrives, number, code, word
):
    arrives(checkpoint, "write_arrays", number, number, call=4)
    sees(*trains, code=code, says=f"^minillm: {word}$")
    left = [path.name for path in (here / "run" / "checkpoints").iterdir()]
    assert left == ["step-000002"]
    sees(*RESUME, code=0, besides=GOING_ON)
    assert weights(here) == weights(trained)


def test_nohup_means_that_the_end_of_a_terminal_is_nothing(sees, trains, arrives):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        arrives(files, "sync", signal.SIGHUP)
        arrives(Worker, "compute", signal.SIGHUP)
        sees(*trains, code=0)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_end_of_a_terminal_is_a_wish_to_terminate(
    sees, here, trained, trains, arrives
):
    arrives(Worker, "compute", signal.SIGHUP, call=3)
    sees(*trains, code=143, says="after step 3, checkpoint written")
    sees(*RESUME, code=0, besides=GOING_ON)
    assert weights(here) == weights(trained)
