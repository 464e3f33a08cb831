"""Stderr may be lost: what a command does, and how it ends, is the same without it."""

import contextlib
import json
import os
import sys

import pytest

from minillm_cli.main import main

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX streams")


def a_full_disk():
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    return os.open("/dev/full", os.O_WRONLY)


def a_pipe_without_a_reader():
    read, write = os.pipe()
    os.close(read)
    return write


def a_terminal_that_was_closed():
    controller, terminal = os.openpty()
    os.close(controller)
    return terminal


LOST = [a_full_disk, a_pipe_without_a_reader, a_terminal_that_was_closed]
MODEL = ["--layers=1", "--width=8", "--heads=1", "--context=8", "--device=cpu"]


@pytest.fixture(params=LOST, ids=lambda make: make.__name__.replace("_", " "))
def unheard(request, monkeypatch, tmp_path):
    """A function that runs a command line whose stderr is lost: its exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> int:
        with (
            open(request.param(), "w", encoding="utf-8") as stderr,
            contextlib.redirect_stderr(stderr),
        ):
            return main(list(argv))

    return run


def test_a_run_does_not_need_to_be_watched(unheard, tmp_path):
    (tmp_path / "a.txt").write_text("She read all the books of the sea.\n" * 99)
    data = ["--data=a.txt", "--tokenizer=bytes", "--out=run", "--workers=1"]
    assert unheard("train", *data, *MODEL, "--batch=2", "--steps=3") == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert record["status"] == "finished"
    assert (tmp_path / "run" / "checkpoints" / "step-000003").is_dir()


def test_a_note_is_no_reason_to_stop(unheard, tmp_path):
    rows = "".join(f"{n}\t{n + 1}\n" for n in range(99))
    (tmp_path / "data.tsv").write_text(rows)
    assert unheard("data", "show", "data.tsv") == 0  # "note: read as pairs"


def test_an_error_keeps_its_code(unheard):
    assert unheard("train", "--data=missing") == 3
