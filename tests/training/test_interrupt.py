"""Signals, sent to the installed command as a terminal or a batch system would."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minillm.runs import checkpoint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

QUICK = {"layers": "1", "width": "16", "context": "16", "batch": "8"}
# A step of many seconds, each of its operations short: Python hears of a signal between
# two of them, and of two signals in one of them only once.
SLOW = {**QUICK, "batch": "65536", "accumulate": "8192"}


@pytest.fixture
def start(book, tmp_path):
    """A function that starts a training process of its own group and waits for its
    first step; its folder is `a`."""
    running = []

    def run(shape: dict, workers: str = "2") -> subprocess.Popen:
        options = {
            **shape,
            "data": book,
            "tokenizer": "chars",
            "steps": "100000",
            "save-every": "100000",
            "eval-every": "100000",
            "workers": workers,
            "device": "cpu",
            "out": str(tmp_path / "a"),
        }
        argv = [f"--{name}={value}" for name, value in options.items()]
        process = subprocess.Popen(
            [sys.executable, "-m", "minillm", "train", *argv],
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        running.append(process)
        process.stderr.readline()  # the run, in a line: its workers are there
        return process

    yield run
    for process in running:
        process.kill()
        process.stderr.close()


def children_of(process: subprocess.Popen) -> list[int]:
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(child) for child in path.read_text(encoding="utf-8").split()]


def last_line(process: subprocess.Popen) -> str:
    out, err = process.communicate(timeout=60)
    assert out is None
    assert "Traceback" not in err
    return err.splitlines()[-1]


@pytest.mark.parametrize(
    "workers", ["2", pytest.param("threads:2", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (getattr(signal, "SIGHUP", 0), 143)],
)
def test_a_signal_to_everyone_saves_and_says_how_to_go_on(
    start, tmp_path, number, code, workers
):
    process = start(QUICK, workers)
    process.stderr.readline()  # the first step
    os.killpg(process.pid, number)
    line = last_line(process)
    assert process.returncode == code
    assert "checkpoint written" in line
    assert f"minillm train --resume --out {tmp_path / 'a'}" in line
    record = json.loads((tmp_path / "a" / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "interrupted"
    newest = checkpoint.latest(tmp_path / "a" / "checkpoints")
    assert f"after step {int(newest.name[5:])}," in line


@pytest.mark.slow
@pytest.mark.parametrize(
    "workers", ["2", pytest.param("threads:2", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_second_signal_does_not_wait_for_the_step(
    start, tmp_path, number, code, word, workers
):
    process = start(SLOW, workers)
    time.sleep(0.1)
    begun = time.perf_counter()
    process.send_signal(number)
    time.sleep(0.3)
    process.send_signal(number)
    line = last_line(process)
    assert time.perf_counter() - begun < 5
    assert process.returncode == code
    assert line == f"minillm: {word}"
    assert checkpoint.latest(tmp_path / "a" / "checkpoints") is None


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork")
def test_a_worker_that_is_killed_ends_the_run_with_one_line(start):
    process = start(QUICK, "3")
    process.stderr.readline()
    workers = children_of(process)
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    assert "worker 2 died" in last_line(process)
    assert process.returncode == 1
