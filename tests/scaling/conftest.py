"""A series so small that a test can run it: a text, and a ladder of tiny models."""

import random
import shutil
from pathlib import Path

import pytest

from minillm.series import scale
from minillm.series.ladder import Ladder
from minillm.series.plan import read_plan
from minillm.series.results import Results
from minillm.series.series_progress import Silent

WORDS = ["the", "a", "cat", "dog", "sat", "ran", "on", "to", "his", "red", "house"]


class Listener(Silent):
    """Remembers what a series tells."""

    def __init__(self):
        self.runs_started, self.runs_finished, self.notes = [], [], []
        self.lines = {}
        self.left_out = {}
        self.closed = False

    def plan(self, plan, path):
        assert read_plan(path) == plan
        self.runs_before = (path.parent / "runs").exists()

    def started(self, run):
        self.runs_started.append(run.name)

    def step(self, run, line):
        self.lines[run.name] = line

    def finished(self, run, record):
        assert record["results"]["val_loss"] > 0
        self.runs_finished.append(run.name)

    def failed(self, run, reason):
        self.left_out[run.name] = reason

    def note(self, text):
        self.notes.append(text)

    def close(self):
        self.closed = True


@pytest.fixture(scope="session")
def tiny() -> Ladder:
    return Ladder(
        name="tiny",
        layers=1,
        widths=(4, 8, 12, 16),
        seeds=(2, 1, 1, 1),
        held_out=24,
        tokens=50_000,
        lr=0.01,
        budget=100.0,
        least_tokens=20_000,
        untrained=(32,),
    )


@pytest.fixture(scope="session")
def words(tmp_path_factory) -> str:
    """The path of a text of 100,000 characters that can be learned a little."""
    rng = random.Random(1)
    chosen = rng.choices(WORDS, weights=range(len(WORDS), 0, -1), k=27_000)
    path = tmp_path_factory.mktemp("text") / "words.txt"
    path.write_text(" ".join(chosen), encoding="utf-8")
    return str(path)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture(scope="session")
def series(tiny, words, tmp_path_factory):
    """(folder, result, listener) of a series that went through; not to be changed."""
    folder = tmp_path_factory.mktemp("series") / "tiny"
    listener = Listener()
    result = scale(tiny, data=words, out=folder, reporter=listener, workers=2)
    return folder, result, listener


@pytest.fixture
def copied(series, tmp_path) -> Path:
    """A copy of its folder."""
    return Path(shutil.copytree(series[0], tmp_path / "tiny"))


@pytest.fixture
def quickly(monkeypatch):
    """Draw nothing."""
    monkeypatch.setattr(Results, "draw", lambda self, folder: [])
