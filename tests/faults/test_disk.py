"""A disk that refuses: it is full, or the place is no place for a run."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from minillm import figures
from minillm.runs import checkpoint, curve

resource = pytest.importorskip("resource", reason="needs POSIX limits")

if sys.platform != "linux":
    pytest.skip("needs limits that Linux keeps", allow_module_level=True)

RESUME = ["train", "--resume", "--out", "run"]
GOING_ON = ("run.json", "metrics.jsonl")  # what a run writes anew when it goes on


@pytest.fixture
def full():
    """A function that lets no file grow beyond so many bytes: to who writes it is as if
    the disk were full. Without an argument there is room again."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(n_bytes: int = before[0]) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))

    yield limit
    limit()


# (what finds no more room, bytes a file may have, more options, what the user sees)
FULL = [
    ("anything", 0, [], r"run/\.lock: cannot be written.*make room there"),
    ("tokenizer.json", 20, [], r"run/tokenizer\.json: cannot be written"),
    ("run.json", 2_000, [], r"run/run\.json: cannot be written \(File too large\)"),
    (
        "metrics.jsonl",
        5_000,
        ["--steps=60", "--save-every=99", "--eval-every=99"],
        r"run/metrics\.jsonl: cannot be written.*make room there",
    ),
    ("the weights", 20_000, [], "run/checkpoints/step-000002: cannot be written"),
    ("the moments", 60_000, [], "run/checkpoints/step-000002: .*make room there"),
]


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("n_bytes", "options", "says"),
    [row[1:] for row in FULL],
    ids=[row[0] for row in FULL],
)
def test_no_room_for(sees, here, trained, quick, full, n_bytes, options, says, workers):
    shutil.copy(trained / "text.txt", here)
    run = [*quick, "--data", "text.txt", "--out", "run", "--workers", workers, *options]
    full(n_bytes)
    sees(*run, code=3, says=says)
    assert checkpoint.latest(here / "run" / "checkpoints") is None
    assert not [path for path in here.rglob(".*") if path.name != ".lock"]
    full()
    begun = (here / "run" / "run.json").exists()
    sees(*(RESUME if begun else run), code=0, besides=GOING_ON)


def newest_weights(run: Path) -> bytes:
    return (checkpoint.latest(run / "checkpoints") / "model.safetensors").read_bytes()


def test_no_room_for_a_later_checkpoint(sees, run, full):
    finished = newest_weights(run)
    for name in ("step-000004", "step-000006"):
        shutil.rmtree(run / "checkpoints" / name)
    record = json.loads((run / "run.json").read_text("utf-8"))
    record |= {"status": "running", "results": None}
    (run / "run.json").write_text(json.dumps(record), "utf-8")
    full(60_000)
    says = r"step-000004: cannot be written.*make room there"
    sees(*RESUME, code=3, says=says, besides=GOING_ON)
    assert checkpoint.latest(run / "checkpoints").name == "step-000002"
    full()
    sees(*RESUME, code=0, besides=GOING_ON)
    assert newest_weights(run) == finished


def test_no_room_for_the_curve(sees, run, quick, full, monkeypatch):
    monkeypatch.setattr(curve, "save", figures.save)
    again = [*quick, "--data", "text.txt", "--out", "run", "--keep", "3"]
    full(4_000)
    sees(*again, code=3, says=r"run/loss\.svg: cannot be written.*run is finished")
    full()
    sees(*again, code=0, says="finished already")
    assert (run / "loss.svg").exists()


def a_file(place: Path) -> None:
    place.write_text("mine", "utf-8")


def a_file_above(place: Path) -> None:
    a_file(place.parent)


def a_thesis_in_it(place: Path) -> None:
    place.mkdir(parents=True)
    a_file(place / "thesis.tex")


def a_link_to_nowhere(place: Path) -> None:
    place.parent.mkdir()
    place.symlink_to("nowhere/at/all")


def a_link_in_a_circle(place: Path) -> None:
    place.parent.mkdir()
    place.symlink_to(place.name)


def nothing_may_be_made(place: Path) -> None:
    place.parent.symlink_to("/proc/self")  # refuses root, too


def a_folder_for_run_json(place: Path) -> None:
    (place / "run.json").mkdir(parents=True)


# (what stands at --out above/run, how it is made, exit code, what the user sees)
PLACES = [
    ("a file", lambda p: (p.parent.mkdir(), a_file(p)), 2, "is a file, not a folder"),
    ("a file above", a_file_above, 3, "above/run: cannot be written"),
    ("a folder with a thesis", a_thesis_in_it, 2, "not empty and holds no run"),
    ("a link to nowhere", a_link_to_nowhere, 3, "above/run: cannot be written"),
    ("a link in a circle", a_link_in_a_circle, 3, "above/run: cannot be written"),
    ("what takes no folder", nothing_may_be_made, 3, "above/run: cannot be written"),
    (
        "a folder as run.json",
        a_folder_for_run_json,
        3,
        r"run/run\.json: is a folder, not a file",
    ),
]


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [row[1:] for row in PLACES],
    ids=[row[0] for row in PLACES],
)
def test_a_run_has_no_place_at(sees, here, trained, quick, make, code, says):
    shutil.copy(trained / "text.txt", here)
    make(here / "above" / "run")
    sees(*quick, "--data", "text.txt", "--out", "above/run", code=code, says=says)


def test_missing_folders_are_made(sees, here, trained, quick):
    shutil.copy(trained / "text.txt", here)
    sees(*quick, "--data", "text.txt", "--out", "a/b/c/run", code=0)
    assert (here / "a" / "b" / "c" / "run" / "run.json").exists()
