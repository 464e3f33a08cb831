"""Jobs of several ranks, each with a time limit, and small texts for them."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

JOB = Path(__file__).with_name("job.py")
TRAIN = [
    *("--size=pico", "--tokenizer=chars", "--data=story.txt", "--context=16"),
    *("--batch=8", "--steps=12", "--save-every=4", "--eval-every=4", "--device=cpu"),
    "--out=run",
]
_spec = importlib.util.spec_from_file_location("rank_job", JOB)
job = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(job)
SECONDS = 60  # that any job may take


def launcher() -> list[str] | None:
    """The start of a command line that starts ranks; None without Open MPI."""
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if not found:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True)
    if "open" not in said.stdout.lower():
        return None
    root = ["--allow-run-as-root"] if getattr(os, "geteuid", int)() == 0 else []
    return [found, "--oversubscribe", *root]


@pytest.fixture(scope="session")
def mpiexec() -> list[str]:
    found = launcher()
    if not found:
        pytest.skip("needs the mpiexec of Open MPI (the extra `mpi`)")
    return found


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with two texts, and this process in it."""
    monkeypatch.chdir(tmp_path)
    write_texts(tmp_path)
    return tmp_path


def write_texts(folder: Path) -> None:
    story = "".join(f"The sea rose. She read a book of {i}.\n\n" for i in range(90))
    rows = [("abcdefgh"[i % 5 : i % 5 + 2 + i % 3], i) for i in range(60)]
    pairs = "".join(f"{a}{i}\t{i}{a[::-1]}\n" for a, i in rows)
    (folder / "story.txt").write_text(story, "utf-8")
    (folder / "pairs.tsv").write_text(pairs, "utf-8")


@pytest.fixture
def ranks(mpiexec, here):
    """A function that runs Python on n ranks: (exit code, what was said)."""

    def run(n: int, *command: str, others: list[str] | None = None):
        python = [sys.executable, *command]
        first = 1 if others else n
        line = [*mpiexec, "-n", str(first), *python]
        if others:  # ranks that are started otherwise than rank 0
            line += [":", "-n", str(n - 1), *others]
        done = subprocess.run(
            line,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
        )
        said = done.stdout.decode("utf-8", "replace")
        assert "Traceback" not in said, said
        return done.returncode, said

    return run


@pytest.fixture
def options() -> list[str]:
    return TRAIN


@pytest.fixture
def learned():
    """`job.learned`, and the architectures it knows."""
    return job.learned, job.ARCHS


@pytest.fixture
def own_model():
    return job.own_model


@pytest.fixture
def train_on(ranks):
    """A function that trains a small model in `run` on n ranks."""

    def run(n: int, *options: str):
        return ranks(n, "-m", "minillm", "train", *TRAIN, *options)

    return run


@pytest.fixture
def faulty(ranks):
    """A function that does so with a fault on one rank: see `job.fault`."""

    def run(n: int, what: str, place: str, rank: int, *options: str):
        argv = ["fault", ".", what, place, str(rank), *TRAIN, *options]
        return ranks(n, str(JOB), *argv)

    return run
