"""A series that takes seconds: `python sweep.py FOLDER PLAN` by the ranks of a job."""

import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from minillm import launcher
from minillm.series import job, scale
from minillm.series.ladder import Ladder
from minillm.series.results import Results
from minillm.series.series_progress import Silent

WORDS = ["the", "a", "cat", "dog", "sat", "ran", "on", "to", "his", "red", "house"]
LADDER = Ladder(
    name="tiny",
    layers=1,
    widths=(4, 6, 8, 12),
    seeds=(1, 1, 1, 1),
    held_out=16,
    tokens=60_000,
    lr=0.01,
    budget=100.0,
    least_tokens=20_000,
    untrained=(),
)


class Listener(Silent):
    """Remembers what a series tells."""

    def __init__(self, first_line=None):
        self.runs, self.notes, self.left_out, self.seen = [], [], {}, set()
        self.first_line = first_line  # what to do when a run is on its way

    def started(self, run):
        self.runs.append(run.name)

    def step(self, run, line):
        self.seen.add(run.name)
        if self.first_line:
            do, self.first_line = self.first_line, None
            do()

    def failed(self, run, reason):
        self.left_out[run.name] = reason

    def note(self, text):
        self.notes.append(text)


def write_words(path: Path) -> None:
    rng = random.Random(1)
    chosen = rng.choices(WORDS, weights=range(len(WORDS), 0, -1), k=27_000)
    path.write_text(" ".join(chosen), encoding="utf-8")


def lose(rank: int) -> None:
    """Let a rank be killed as its first run begins, however fast the machine is."""
    usual = job._train

    def kill_once_begun(record: Path):
        while not record.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)

    def train(config, stop):
        record = Path(config.out, "run.json")
        threading.Thread(target=kill_once_begun, args=[record], daemon=True).start()
        return usual(config, stop)

    if launcher.place()[0] == rank:
        job._train = train


def apart() -> None:
    """Let a rank not see the disk of rank 0, and have a folder of its own for what is
    temporary. Its runs end when rank 0 has asked how far they are."""
    job._sees = lambda *_: False
    tempfile.tempdir = str(Path(f"rank-{launcher.place()[0]}").resolve())
    os.mkdir(tempfile.tempdir)
    asked = threading.Event()
    usual, train = job.last_lines, job._train

    def last_lines(folder):
        if found := usual(folder):
            asked.set()
        return found

    def trained(*arguments):
        asked.clear()
        answer = train(*arguments)
        asked.wait(20)
        return answer

    job.last_lines, job._train = last_lines, trained


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    if "lose" in sys.argv:
        lose(1)
    elif "apart" in sys.argv and launcher.place()[0]:
        apart()
    Results.draw = lambda self, folder: []
    listener = Listener()
    result = scale(plan=sys.argv[2], out="series", executor="mpi", reporter=listener)
    if result:
        print(listener.notes[0], sorted(listener.seen), sep="; ")
