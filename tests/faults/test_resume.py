"""Going on with a run that is not what it was, or that somebody is at work on."""

import json
import os
import shutil
import sys
import warnings
from pathlib import Path

import pytest

from minillm.runs import checkpoint
from minillm.runs.lock import locked

RESUME = ["train", "--resume", "--out", "run"]
GOING_ON = ("run.json", "metrics.jsonl")  # what a run writes anew when it goes on
CHECKPOINT = (*checkpoint.FILES, "manifest.json")


@pytest.fixture
def stopped(run) -> Path:
    """A run on `text.txt` here that was interrupted after step 4."""
    shutil.rmtree(run / "checkpoints" / "step-000006")
    record = json.loads((run / "run.json").read_text("utf-8"))
    record |= {"status": "interrupted", "results": None}
    record["options"]["data"] = "text.txt"
    (run / "run.json").write_text(json.dumps(record), "utf-8")
    return run


def weights(run: Path) -> bytes:
    return (checkpoint.latest(run / "checkpoints") / "model.safetensors").read_bytes()


def damage(path: Path) -> None:
    (path / "optimizer.safetensors").write_bytes(b"")


def new_text(run: Path) -> None:
    (run.parent / "text.txt").write_text("Other words. " * 500, "utf-8")


def no_text(run: Path) -> None:
    (run.parent / "text.txt").unlink()


def new_tokenizer(run: Path) -> None:
    (run / "tokenizer.json").write_text('{"kind": "chars", "characters": []}', "utf-8")


def nothing(run: Path) -> None:
    pass


def only_begun(run: Path) -> None:
    for path in run.iterdir():
        if path.name not in (".lock", "tokenizer.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (run / ".run.json.4711").write_text("{", "utf-8")


# (what is otherwise, how it is made, more options, exit code, what the user sees)
RESUMES = [
    ("lr", nothing, ["--lr=0.5"], 2, r"run: cannot go on with lr 0\.5: this run has"),
    ("the width", nothing, ["--width=32"], 2, "cannot go on with width 32"),
    (
        "steps",
        nothing,
        ["--steps=9"],
        2,
        "this run has 6: leave .* --base run, another",
    ),
    ("the text", new_text, [], 3, "step-000004: was trained with another data"),
    ("no text", no_text, [], 3, r"text\.txt"),
    ("the tokenizer", new_tokenizer, [], 3, r"run/tokenizer\.json"),
    ("nothing but begun", only_begun, [], 3, "run: holds no run yet: begin it without"),
]


@pytest.mark.parametrize(
    ("change", "options", "code", "says"),
    [row[1:] for row in RESUMES],
    ids=[row[0] for row in RESUMES],
)
def test_a_run_does_not_go_on_with(sees, stopped, change, options, code, says):
    change(stopped)
    sees(*RESUME, *options, code=code, says=says)


OTHERS = [
    *[("lr", 0.033), ("seed", 1), ("weight_decay", 0.0), ("clip", 2.0), ("batch", 8)],
    *[("steps", 60), ("warmup", 1), ("dropout", 0.5)],
]


@pytest.mark.parametrize(("name", "value"), OTHERS, ids=str)
def test_a_record_that_says_something_else_does_not_go_on(sees, stopped, name, value):
    file = stopped / "run.json"
    record = json.loads(file.read_text("utf-8"))
    record["options"][name] = value
    file.write_text(json.dumps(record), "utf-8")
    says = f"step-000004: was trained with {name} .*, and run.json has {value}: one of"
    sees(*RESUME, code=3, says=says)


@pytest.mark.parametrize("part", ["options", "model"])
def test_a_record_with_another_number_of_heads_is_no_record(sees, stopped, part):
    file = stopped / "run.json"
    record = json.loads(file.read_text("utf-8"))
    record[part]["n_heads"] = 4
    file.write_text(json.dumps(record), "utf-8")
    for command in (RESUME, ["generate", "run", "She"]):
        sees(*command, code=3, says="its model is not that of its options")


def test_a_checkpoint_of_another_run_is_not_gone_on_with(sees, stopped, quick):
    sees(*quick, "--data=text.txt", "--out=other", "--seed=7", code=0)
    place = "checkpoints/step-000004"
    shutil.rmtree(stopped / place)
    shutil.copytree(f"other/{place}", stopped / place)
    sees(*RESUME, code=3, says="step-000004: was trained with seed 7")


@pytest.mark.parametrize("damage", ["gone", "empty", "a line less", "a digit"])
def test_a_learning_curve_that_was_changed_is_told(sees, stopped, trained, damage):
    file = stopped / "metrics.jsonl"
    lines = file.read_text("utf-8").splitlines(keepends=True)
    if damage == "gone":
        file.unlink()
    else:
        kept = {"empty": [], "a line less": lines[1:]}
        changed = [lines[0].replace('"loss": ', '"loss": 1'), *lines[1:]]
        file.write_text("".join(kept.get(damage, changed)), "utf-8")
    says = r"metrics\.jsonl: lines are missing or changed"
    sees(*RESUME, code=0, says=says, besides=GOING_ON)
    assert weights(stopped) == weights(trained / "run")


def test_the_way_out_of_other_steps_is_one(sees, here, trained, quick):
    shutil.copy(trained / "text.txt", here)
    made = [*quick, "--data=text.txt", "--schedule=wsd", "--warmup=0"]
    sees(*made, "--branch", "--out=run", code=0)
    says = "--base run, or --start run where its cooldown began, another --out, and"
    sees(*RESUME, "--steps=12", code=2, says=says)
    sees(*made, "--steps=12", "--start=run", "--out=longer", code=0)
    own = [option for option in made if not option.startswith("--tokenizer")]
    sees(*own, "--tokenizer=bytes", "--base=run", "--steps=12", "--out=other", code=0)


def test_a_warmup_longer_than_the_run_is_told(sees, here, trained, quick):
    shutil.copy(trained / "text.txt", here)
    argv = [*quick, "--data=text.txt", "--out=run"]
    sees(*argv, "--warmup=60", code=0, says="--warmup 60: .* rate only rises, to")


def test_a_learning_curve_as_it_was_is_not_worth_a_word(sees, stopped):
    assert "missing" not in sees(*RESUME, code=0, besides=GOING_ON)[1]


def test_a_run_killed_before_it_had_a_record_begins_again(sees, run, quick):
    finished = weights(run)
    only_begun(run)
    sees(
        *quick,
        "--data",
        "text.txt",
        "--out",
        "run",
        code=0,
        besides=(".run.json.4711",),
    )
    assert weights(run) == finished
    assert not list(run.glob(".*.4711"))


def test_a_run_goes_back_behind_what_is_damaged_and_says_so(sees, stopped, trained):
    damage(stopped / "checkpoints" / "step-000004")
    says = r"step-000004\.damaged: was damaged: going on from step 2"
    sees(*RESUME, code=0, says=says, besides=(*GOING_ON, *CHECKPOINT))
    assert weights(stopped) == weights(trained / "run")


def test_what_is_damaged_is_not_kept_instead_of_what_is_whole(sees, stopped):
    checkpoints = stopped / "checkpoints"
    shutil.copytree(checkpoints / "step-000004", checkpoints / "step-000005")
    damage(checkpoints / "step-000005")
    sees(*RESUME, "--keep=1", code=0, besides=(*GOING_ON, *CHECKPOINT))
    assert [path.name for path in checkpoints.glob("step-*[0-9]")] == ["step-000006"]


def test_with_every_checkpoint_damaged_it_begins_again(sees, stopped, trained):
    for path in (stopped / "checkpoints").iterdir():
        damage(path)
    says = "no whole checkpoint: from the start"
    sees(*RESUME, code=0, says=says, besides=(*GOING_ON, *CHECKPOINT))
    assert weights(stopped) == weights(trained / "run")


@pytest.mark.parametrize(
    "line",
    [b"[]", b"\x80", b"7", b'{"step": 1}', b'{"step": "1", "tokens": 1, "loss": 1}'],
)
def test_a_line_of_metrics_that_is_none_is_dropped(sees, stopped, line):
    file = stopped / "metrics.jsonl"
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"\n".join([lines[0], line, *lines[1:]]))
    sees(*RESUME, code=0, besides=GOING_ON)
    steps = [json.loads(line)["step"] for line in file.read_bytes().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]


LAST = "checkpoints/step-000006"
LOST = {
    "damaged": lambda run: damage(run / LAST),
    "without a manifest": lambda run: (run / LAST / "manifest.json").unlink(),
    "gone": lambda run: shutil.rmtree(run / LAST),
    "all damaged": lambda run: [*map(damage, (run / "checkpoints").iterdir())],
    "all gone": lambda run: shutil.rmtree(run / "checkpoints"),
}


@pytest.mark.parametrize("lose", LOST.values(), ids=LOST)
def test_a_finished_run_without_its_last_checkpoint_ends_again(
    sees, run, trained, lose
):
    lose(run)
    before = json.loads((run / "run.json").read_text("utf-8"))
    sees(*RESUME, code=0, besides=(*GOING_ON, *CHECKPOINT))
    assert weights(run) == weights(trained / "run")
    after = json.loads((run / "run.json").read_text("utf-8"))
    assert after["status"] == "finished"
    for name in ("train_loss", "val_loss", "steps"):
        assert after["results"][name] == before["results"][name]
    sees("generate", "run", "She", code=0)
    sees(*RESUME, code=0, says="finished already: nothing trained")


@pytest.mark.parametrize("content", [None, "{}"], ids=["missing", "damaged"])
def test_a_finished_run_without_its_tokenizer_is_not_called_finished(
    sees, run, content
):
    file = run / "tokenizer.json"
    file.unlink()
    if content is not None:
        file.write_text(content, encoding="utf-8")
    sees(*RESUME, code=3, says="tokenizer.json")


def test_nobody_else_is_at_work_on_a_finished_run_that_goes_back(sees, run):
    damage(run / LAST)
    with locked(run):
        pass
    (run / ".lock").write_text("a poem", "utf-8")
    sees(*RESUME, code=3, says="is no lock of minillm")


def test_a_trunk_that_is_damaged_starts_nothing(sees, here, trained, quick):
    shutil.copy(trained / "text.txt", here)
    made = [*quick, "--data", "text.txt", "--schedule=wsd", "--warmup=0"]
    sees(*made, "--branch", "--out", "trunk", code=0)
    for path in (here / "trunk" / "checkpoints").iterdir():
        damage(path)
    longer = [*made, "--steps=12", "--start", "trunk", "--out", "longer"]
    sees(*longer, code=2, says="--start trunk: keeps no checkpoint of step")


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_two_processes_do_not_train_one_run(sees, stopped):
    held, hold = os.pipe(), os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # BLAS has idle threads
        other = os.fork()
    if other == 0:
        with locked(stopped):
            os.write(held[1], b"!")
            os.read(hold[0], 1)
        os._exit(0)
    os.read(held[0], 1)
    try:
        sees(*RESUME, code=2, says=f"run: process {other} is training here: wait")
    finally:
        os.write(hold[1], b"!")
        os.waitpid(other, 0)
        for end in (*held, *hold):
            os.close(end)
    sees(*RESUME, code=0, besides=GOING_ON)
