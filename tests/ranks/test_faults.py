"""A rank that fails ends all of them, within seconds, and says so in one line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minillm.runs import checkpoint
from minillm_cli.main import main

if sys.platform == "win32":
    pytest.skip("needs POSIX signals", allow_module_level=True)
pytestmark = pytest.mark.ranks


def newest() -> Path | None:
    return checkpoint.latest(Path("run", "checkpoints"))


def lines(said: str) -> list[str]:
    return [line for line in said.splitlines() if "minillm: " in line]


@pytest.mark.parametrize("place", ["step", "evaluation", "checkpoint"])
def test_a_killed_rank_ends_all_and_the_checkpoint_before_is_whole(place, faulty):
    code, said = faulty(3, "kill", place, 1)
    assert code == 137, said
    # The second step comes before any checkpoint, the others after that of step 4.
    assert newest() == (
        None if place == "step" else Path("run/checkpoints/step-000004")
    )
    assert main(["train", "--resume", "--out=run"]) == 0  # in one process


@pytest.mark.parametrize(
    ("what", "rank", "expected", "says"),
    [
        ("error", 1, 1, "rank 1: ValueError: no such luck"),
        ("exit", 2, 3, "rank 2: ended"),
        ("error", 0, 1, "rank 0: ValueError: no such luck"),
    ],
)
def test_an_error_of_one_rank_ends_all_in_one_line(what, rank, expected, says, faulty):
    code, said = faulty(3, what, "evaluation", rank)
    assert code == expected, said
    assert len(lines(said)) == 1, said
    assert says in lines(said)[0]
    assert newest() == Path("run/checkpoints/step-000004")


def test_only_the_disk_of_rank_0_matters(faulty):
    code, said = faulty(2, "full", "evaluation", 1)
    assert code == 0, said
    code, said = faulty(2, "full", "evaluation", 0, "--out=other")
    assert code == 3, said
    assert len(lines(said)) == 1, said
    assert "other" in lines(said)[0]


def test_weights_that_come_apart_are_seen_at_a_checkpoint(faulty):
    code, said = faulty(3, "drift", "follow", 2)
    assert code == 1, said
    assert len(lines(said)) == 1, said
    assert "rank 2 has weights" in said
    assert newest() is None


def test_a_run_that_diverges_says_so_once(train_on):
    code, said = train_on(2, "--lr=1e30", "--optimizer=sgd", "--clip=0")
    assert code == 5, said
    assert len(lines(said)) == 1, said
    assert Path("run", "diverged.json").exists()


@pytest.mark.parametrize("what", ["usr1", "term"])
def test_a_signal_to_any_rank_saves_and_ends_all(what, faulty):
    code, said = faulty(3, what, "step", 2)
    assert code == 143, said
    assert "checkpoint written" in said
    assert newest() == Path("run/checkpoints/step-000002")  # the step it came in


def test_a_signal_while_mpi_starts_ends_all(faulty):
    code, said = faulty(3, "term", "start", 2)
    assert code == 143, said
    assert len(lines(said)) == 1, said
    assert "rank 2: terminated" in lines(said)[0]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_mpiexec_leaves_a_whole_checkpoint(mpiexec, here, options, number):
    """It hands SIGUSR1 on, and kills its ranks itself at the others."""
    asked = number == signal.SIGUSR1
    every = 100_000 if asked else 50
    command = [sys.executable, "-m", "minillm", "train", *options]
    command += ["--steps=100000", f"--save-every={every}", "--eval-every=100000"]
    job = subprocess.Popen([*mpiexec, "-n", "2", *command], stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 30
        there = Path("run", "metrics.jsonl").exists if asked else newest
        while not there() and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(job.pid, number)
        _, said = job.communicate(timeout=20)
    finally:
        job.terminate()
    assert job.returncode == (143 if asked else 1), said
    assert newest() is not None
