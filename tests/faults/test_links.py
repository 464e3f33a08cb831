"""Folders from a stranger: names in them are links, or hold what is somebody's own."""

import os
import shutil
from pathlib import Path

import pytest

from minillm import files
from minillm.errors import DataError
from minillm.runs import checkpoint

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs links")

RESUME = ["train", "--resume", "--out", "run"]
GOING_ON = ("run.json", "metrics.jsonl", "loss.svg")
CHECKPOINT = (*checkpoint.FILES, "manifest.json")
MINE = "precious\n"


@pytest.fixture
def diary(here) -> Path:
    """A file of the user's, beside the folder that a stranger has sent."""
    (here / "diary").write_text(MINE, "utf-8")
    return here / "diary"


@pytest.fixture
def unfinished(run) -> Path:
    """A run of 6 steps that has come to step 4."""
    shutil.rmtree(run / "checkpoints" / "step-000006")
    record = (run / "run.json").read_text("utf-8")
    text = record.replace('"status": "finished"', '"status": "running"')
    (run / "run.json").write_text(text, "utf-8")
    return run


def link(place: Path, diary: Path) -> None:
    place.symlink_to(diary)


def dangling(place: Path, diary: Path) -> None:
    diary.unlink()
    place.symlink_to(diary)


def link_to_a_folder(place: Path, diary: Path) -> None:
    (diary.parent / "letters").mkdir()
    place.symlink_to(diary.parent / "letters")


def link_to_a_device(place: Path, _) -> None:
    place.symlink_to("/dev/null")


def pipe(place: Path, _) -> None:
    os.mkfifo(place)


def a_folder(place: Path, _) -> None:
    place.mkdir()


def somebody_elses(place: Path, _) -> None:
    place.write_text("10 pounds of flour\n", "utf-8")


def a_number_and_more(place: Path, _) -> None:
    place.write_text("4711\nbuy milk\n", "utf-8")


def digits(place: Path, _) -> None:
    place.write_text("3141592653589793" * 10, "utf-8")


# (what .lock is, what the user sees)
LOCKS = [
    (link, "gift/.lock: is a link to .*diary"),
    (dangling, "gift/.lock: is a link to .*diary"),
    (link_to_a_folder, "gift/.lock: is a link"),
    (link_to_a_device, "gift/.lock: is a link"),
    (pipe, "gift/.lock: is no file: remove it"),
    (a_folder, "gift/.lock: cannot be written"),
    (somebody_elses, "gift/.lock: is no lock of minillm"),
    (a_number_and_more, "gift/.lock: is no lock of minillm"),
    (digits, "gift/.lock: is no lock of minillm"),
]


@pytest.mark.parametrize(
    ("make", "says"), LOCKS, ids=[make.__name__ for make, _ in LOCKS]
)
def test_a_lock_that_is_none(sees, trained, quick, diary, make, says):
    shutil.copy(trained / "text.txt", Path())
    Path("gift").mkdir()
    make(Path("gift/.lock"), diary)
    before = listing(Path())
    sees(*quick, "--data=text.txt", "--out=gift", code=3, says=says)
    assert listing(Path()) == before


WRITERS = [
    ["train", "--resume", "--out=gift"],
    ["train", "--config=gift/run.json", "--out=gift"],  # refused: it is unfinished
    ["finetune", "run", "--data=rows.tsv", "--out=empty"],
]


@pytest.mark.parametrize("argv", WRITERS, ids=lambda argv: argv[0])
def test_no_command_writes_through_a_lock(sees, unfinished, diary, argv):
    shutil.copytree(unfinished, "gift")
    rows = "".join(f"She read {i}\t{i % 2}\n" for i in range(40))
    Path("rows.tsv").write_text(rows, "utf-8")
    Path("empty").mkdir()
    for name in ("gift", "empty"):
        Path(name, ".lock").unlink(missing_ok=True)
        link(Path(name, ".lock"), diary)
    before = listing(Path())
    sees(*argv, code=3, says=".lock: is a link to .*diary")
    assert listing(Path()) == before


def listing(folder: Path) -> dict:
    """Everything below a folder: kind, and what a link leads to."""
    return {
        path: (path.lstat().st_mode, os.readlink(path) if path.is_symlink() else "")
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("name", ["run.json", "metrics.jsonl", "loss.svg"])
def test_a_run_replaces_a_link_and_not_what_it_leads_to(sees, unfinished, name, diary):
    if (unfinished / name).exists():
        shutil.copy(unfinished / name, diary)
        (unfinished / name).unlink()
    content = diary.read_bytes()
    (unfinished / name).symlink_to(diary)
    sees(*RESUME, code=0, besides=GOING_ON)
    assert diary.read_bytes() == content
    assert not (unfinished / name).is_symlink()
    assert (unfinished / name).stat().st_size > len(MINE)


@pytest.mark.parametrize("make", [link, dangling, link_to_a_device, link_to_a_folder])
def test_a_curve_is_drawn_where_a_link_was(sees, unfinished, diary, make):
    make(unfinished / "loss.svg", diary)
    sees(*RESUME, code=0, besides=GOING_ON)
    assert not (unfinished / "loss.svg").is_symlink()
    assert not diary.exists() or diary.read_text("utf-8") == MINE


@pytest.mark.parametrize("make", [link, dangling, pipe])
def test_runs_that_lead_to_no_folder(sees, trained, quick, diary, make):
    shutil.copy(trained / "text.txt", Path())
    make(Path("runs"), diary)
    sees(*quick, "--data=text.txt", code=3, says="runs.*: cannot be written")


@pytest.mark.parametrize(
    "argv", [["embed", "run", "a", "--out=x.npy"], ["graph", "a * b", "--out=x.dot"]]
)
def test_a_pipe_that_nobody_reads_is_not_waited_for(sees, run, monkeypatch, argv):
    monkeypatch.setattr(files, "PATIENCE", 0.05)
    pipe(Path(argv[-1].removeprefix("--out=")), None)
    sees(*argv, code=3, says="cannot be written .a pipe that nobody reads")


def test_a_pipe_that_somebody_reads_is_written_to(minillm, here):
    os.mkfifo("x.dot")
    reader = os.open("x.dot", os.O_RDONLY | os.O_NONBLOCK)
    assert minillm("graph", "a * b", "--out=x.dot")[0] == 0
    assert os.read(reader, 1 << 16).startswith(b"// Written by minillm")
    os.close(reader)


def test_what_diverged_is_told_where_a_link_was(sees, here, run, quick, diary):
    shutil.rmtree(run)
    sees(*quick, "--data=text.txt", "--out=run", "--lr=1e20", "--clip=0", code=5)
    for name in ("diverged.json", "run.json"):
        content = Path("run", name).read_bytes()
        diary.write_bytes(content)
        Path("run", name).unlink()
        Path("run", name).symlink_to(diary)
        files.write_json(Path("run", name), {})
        assert diary.read_bytes() == content


def test_metrics_are_not_appended_to_what_a_link_leads_to(tmp_path):
    (tmp_path / "diary").write_text(MINE)
    (tmp_path / "metrics.jsonl").symlink_to("diary")
    with pytest.raises(DataError, match="is a link to diary"):
        files.open_own(tmp_path / "metrics.jsonl", os.O_WRONLY | os.O_APPEND)
    assert (tmp_path / "diary").read_text() == MINE


def elsewhere(run: Path, *names: str) -> Path:
    """The checkpoints of a run on a larger disk, with some of somebody else's."""
    place = run.parent.resolve() / "large-disk"
    shutil.move(run / "checkpoints", place)
    (run / "checkpoints").symlink_to(place)
    for name in names:
        (place / name).mkdir()
        (place / name / "pytorch_model.bin").write_text(MINE, "utf-8")
    return place


def test_checkpoints_may_lie_on_a_larger_disk(sees, unfinished, trained):
    place = elsewhere(unfinished)
    sees(*RESUME, "--keep=1", "--save-every=1", code=0, besides=GOING_ON)
    left = sorted(path.name for path in place.iterdir())
    # Of an earlier sitting, or somebody's: they stay. This sitting's step 5 is gone.
    assert left == ["step-000002", "step-000004", "step-000006"]
    weights = "checkpoints/step-000006/model.safetensors"
    assert Path("run", weights).read_bytes() == (
        (trained / "run" / weights).read_bytes()
    )


def test_checkpoints_of_others_are_not_pruned(sees, unfinished):
    elsewhere(unfinished, "step-000001", "step-000003")
    sees(*RESUME, "--keep=1", "--save-every=1", code=0, besides=GOING_ON)


def test_checkpoints_of_others_are_not_renamed(sees, unfinished):
    elsewhere(unfinished, "step-000005")
    sees(*RESUME, code=3, says="step-000005: is no checkpoint, and run/checkpoints is")


@pytest.mark.parametrize("n", [3, 5])
def test_what_lies_among_the_checkpoints_is_not_lost(sees, unfinished, n):
    """In the run's own folder: named step-00000n, and not written by minillm."""
    place = unfinished / "checkpoints" / f"step-00000{n}"
    place.mkdir()
    (place / "pytorch_model.bin").write_text(MINE, "utf-8")
    sees(
        *RESUME,
        "--keep=1",
        code=0,
        besides=(*GOING_ON, "pytorch_model.bin", *CHECKPOINT),
    )
    (kept,) = unfinished.rglob("pytorch_model.bin")
    assert kept.read_text("utf-8") == MINE


def test_a_checkpoint_that_is_a_link_is_not_followed(sees, unfinished):
    place = Path("away").resolve()
    shutil.move(unfinished / "checkpoints" / "step-000002", place)
    (unfinished / "checkpoints" / "step-000002").symlink_to(place)
    besides = (*GOING_ON, *CHECKPOINT)
    sees(*RESUME, "--keep=1", "--save-every=1", code=0, besides=besides)
    assert sorted(path.name for path in place.iterdir()) == sorted(CHECKPOINT)


@pytest.mark.parametrize("make", [link, dangling])
def test_checkpoints_that_lead_to_no_folder(sees, unfinished, diary, make):
    shutil.rmtree(unfinished / "checkpoints")
    make(unfinished / "checkpoints", diary)
    sees(*RESUME, code=3, says="run/checkpoints", besides=GOING_ON)
    assert not diary.exists() or diary.read_text("utf-8") == MINE


def test_only_what_minillm_wrote_is_swept(sees, unfinished):
    kept = [".notes.2024", ".thesis.tex.1", ".run.json.bak", ".a.txt.0123456789abcdef"]
    for name in kept:
        (unfinished / name).write_text(MINE, "utf-8")
    gone = [".run.json.4711", ".loss.svg.0123456789abcdef.minillm"]
    for name in gone:
        (unfinished / name).write_text("{", "utf-8")
    sees(*RESUME, code=0, besides=(*GOING_ON, *gone))
    assert {*kept} <= {path.name for path in unfinished.iterdir()}
    assert not {*gone} & {path.name for path in unfinished.iterdir()}
