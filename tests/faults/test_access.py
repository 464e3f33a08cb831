"""What is there and cannot be read is not damaged: nothing is renamed or taken away."""

import errno
import io
import json
import os
import shutil
from pathlib import Path

import pytest

NEWEST = Path("run/checkpoints/step-000006")
GENERATE = ["generate", "run", "She"]
RESUME = ["train", "--resume", "--out", "run"]
POSIX = pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")


@pytest.fixture
def refused(monkeypatch):
    """A function that has the system refuse to open or list a path: a mode would not
    keep root out."""

    def refuse(refused: Path, number: int, *more: tuple) -> None:
        for place, name in ((io, "open"), (os, "open"), (os, "listdir"), *more):
            function = getattr(place, name)

            def opens(path=".", *args, function=function, **kwargs):
                if str(path) == str(refused):
                    raise OSError(number, os.strerror(number), str(path))
                return function(path, *args, **kwargs)

            monkeypatch.setattr(place, name, opens)

    return refuse


@pytest.fixture
def unfinished(run) -> Path:
    """A run that `--resume` goes on with."""
    record = (run / "run.json").read_text("utf-8")
    text = record.replace('"status": "finished"', '"status": "running"')
    (run / "run.json").write_text(text, "utf-8")
    return run


# (what cannot be read, the error, what the user sees)
REFUSED = [
    (NEWEST / "model.safetensors", errno.EACCES, "Permission denied"),
    (NEWEST / "model.safetensors", errno.EIO, "Input/output error"),
    (NEWEST / "manifest.json", errno.EACCES, "Permission denied"),
    (NEWEST.parent, errno.EACCES, "Permission denied"),
]


@pytest.mark.parametrize("argv", [GENERATE, RESUME], ids=["generate", "resume"])
@pytest.mark.parametrize(("path", "number", "says"), REFUSED, ids=str)
def test_a_checkpoint_that_cannot_be_read(
    sees, unfinished, refused, argv, path, number, says
):
    refused(path, number)
    sees(*argv, code=3, says=rf"minillm: {path}: cannot be read \({says}\)$")


@POSIX
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize("name", ["model.safetensors", "manifest.json"])
def test_a_checkpoint_is_damaged_by_what_has_no_end(sees, run, name, make):
    manifest = json.loads((NEWEST / "manifest.json").read_text("utf-8"))
    manifest["files"]["model.safetensors"]["bytes"] = 0  # as the system says of it
    (NEWEST / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    (NEWEST / name).unlink()
    make(NEWEST / name)
    sees(*GENERATE, code=3, says="step-000006: is damaged")


def test_a_folder_in_place_of_the_weights_is_damage(sees, run):
    (NEWEST / "model.safetensors").unlink()
    (NEWEST / "model.safetensors").mkdir()
    sees(*GENERATE, code=3, says="step-000006: is damaged.*and step-000004 is taken")
    shutil.rmtree(NEWEST)
    sees(*GENERATE, code=0)


# (what may not be read, what is refused, the options)
DATA = [
    ("place/text.txt", "stat", ["--data=place/text.txt"]),
    ("place", "scandir", ["--data=place"]),
    ("place/rows.tsv", "stat", ["--data=place/rows.tsv", "--objective=seq2seq"]),
]


@pytest.mark.parametrize(
    ("path", "call", "options"), DATA, ids=[row[0] for row in DATA]
)
def test_a_text_that_may_not_be_read_is_not_missing(
    sees, here, quick, refused, path, call, options
):
    (here / "place").mkdir()
    refused(Path(path), errno.EACCES, (os, call))
    sees(*quick, *options, code=3, says=f"^minillm: {path}: Permission denied")
