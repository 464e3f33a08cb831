"""`minillm scale`, stopped at any moment and begun again; its files damaged."""

import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minillm.errors import Interrupted, MinillmError
from minillm.series import scale
from minillm.series.ladder import PRESETS, Ladder
from minillm.series.results import Results
from minillm.series.series_progress import Silent
from minillm_cli import scale as command

FORKS = pytest.mark.skipif(sys.platform != "linux", reason="what is patched is forked")
SEVERAL = Ladder(
    name="several",
    layers=1,
    widths=(4, 8, 12, 16),
    seeds=(1, 1, 1, 1),  # a repeat is left out where time is short
    held_out=20,
    tokens=10_240,
    lr=0.01,
    budget=20.0,
    least_tokens=10_240,
    untrained=(),
)
AGAIN = ["scale", "--preset=several", "--data=words.txt", "--out=law", "--json"]
# What is the same however often a series is stopped.
FIGURES = ("tokens", "law", "held_out", "counting", "parameters_counted", "rate_checks")


@pytest.fixture(autouse=True)
def several(monkeypatch):
    """The preset `several`. Its pictures are not drawn, and the laws of its times,
    which are never the same, not fitted."""
    monkeypatch.setitem(PRESETS, "several", SEVERAL)
    (preset,) = [p for p in command.command.params if p.name == "preset"]
    monkeypatch.setattr(preset.type, "choices", [*PRESETS])
    quickly(monkeypatch)


def quickly(monkeypatch) -> None:
    monkeypatch.setattr(Results, "draw", lambda self, folder: [])
    monkeypatch.setattr(Results, "powers", {})


@pytest.fixture(autouse=True)
def few_resamples():
    """As many as ever: some of the series here are fitted by processes of their own."""


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> tuple[Path, dict]:
    """(folder with the text `words.txt` and the series `law`, its result)."""
    folder = tmp_path_factory.mktemp("whole")
    words = ["the", "a", "cat", "dog", "sat", "ran", "on", "to", "his", "house"]
    chosen = random.Random(1).choices(words, weights=range(10, 0, -1), k=6_000)
    (folder / "words.txt").write_text(" ".join(chosen), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        quickly(patch)
        return folder, scale(SEVERAL, data="words.txt", out="law", workers=2)


@pytest.fixture
def law(here, whole) -> Path:
    """A copy of the series in this folder, to be damaged."""
    shutil.copy(whole[0] / "words.txt", here)
    return Path(shutil.copytree(whole[0] / "law", here / "law")).relative_to(here)


def figures(result: dict) -> dict:
    """What a series found, without what a clock says."""
    runs = {
        (run["model"]["d_model"], run["seed"]): (
            run["parameters"],
            run["flops"],
            run["results"]["train_loss"],
            run["results"]["val_loss"],
            run["results"]["val_accuracy"],
        )
        for run in result["runs"]
    }
    sizes = [(size["width"], size["losses"]) for size in result["sizes"]]
    return {"runs": runs, "sizes": sizes, **{key: result[key] for key in FIGURES}}


class Stopper(Silent):
    """Ctrl-C while the series tells of something for the nth time."""

    def __init__(self, n: int):
        self.left = n

    def tick(self, *_) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    plan = started = step = finished = failed = note = tick


def interrupted(*_):
    raise KeyboardInterrupt


def kill_at_file(monkeypatch, n: int) -> None:
    """Let whoever is about to give a file its name, for the nth time, be killed: a run,
    or, where it is the series itself, stopped by Ctrl-C."""
    parent = os.getpid()
    left = multiprocessing.Value("i", n)
    for name in ("rename", "replace"):
        real = getattr(Path, name)

        def last(path, target, real=real):
            with left.get_lock():
                left.value -= 1
                mine = left.value == 0
            if mine and os.getpid() == parent:
                raise KeyboardInterrupt
            if mine:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(path, target)

        monkeypatch.setattr(Path, name, last)


@FORKS
@pytest.mark.parametrize(
    "seed", [4, *(pytest.param(n, marks=pytest.mark.slow) for n in range(4))]
)
def test_a_series_stopped_at_any_moment_finds_the_same(here, whole, seed):
    shutil.copy(whole[0] / "words.txt", here)
    rng = random.Random(seed)
    given = {"data": "words.txt", "out": "law"}
    plan = whole[0] / "law" / "plan.json"
    for _ in range(3):
        workers = rng.randint(1, 3)
        with pytest.MonkeyPatch.context() as patch:
            reporter = None
            if rng.random() < 0.5:
                reporter = Stopper(rng.randint(1, 20))
            else:
                kill_at_file(patch, rng.randint(1, 40))
            patch.setattr(Results, "to_json", interrupted)  # at the latest
            with pytest.raises(
                (MinillmError, Interrupted), match=r"go on with: |sizes are left"
            ):
                scale(SEVERAL, **given, plan=plan, workers=workers, reporter=reporter)
        assert multiprocessing.active_children() == []
    result = scale(SEVERAL, **given, plan=plan)
    assert figures(result) == figures(whole[1])
    assert json.loads(Path("law/plan.json").read_text("utf-8")) == json.loads(
        plan.read_text("utf-8")
    )


# As `minillm scale`, with the preset; a shell's background jobs, this test among them,
# hand on that Ctrl-C is to be ignored.
SCRIPT = """
import json, sys
from minillm.series.ladder import PRESETS, Ladder
PRESETS["several"] = Ladder.from_json(json.loads(sys.argv[1]))
from minillm_cli.main import main
sys.exit(main(sys.argv[2:]))
"""


@FORKS
def test_nobody_goes_on_when_a_series_is_killed(here, whole):
    text = (whole[0] / "words.txt").read_text("utf-8")
    (here / "words.txt").write_text(text * 20, encoding="utf-8")
    tokens = dict.fromkeys(("tokens", "least_tokens", "enough_tokens"), 300_000)
    ladder = json.dumps(SEVERAL.to_json() | tokens | {"budget": 3.0})
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, ladder, *AGAIN, "--workers", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        while len([*here.glob("law/runs/*/run.json")]) < 2:
            time.sleep(0.01)
            assert process.poll() is None
        process.kill()
    with pytest.raises(ProcessLookupError):
        while True:
            os.killpg(process.pid, 0)  # signal 0 asks whether anybody is there
            time.sleep(0.05)
    records = [json.loads(p.read_bytes()) for p in here.glob("law/runs/*/run.json")]
    assert {record["status"] for record in records} == {"running"}


def rewrite(change):
    """A function that changes what a JSON file holds."""

    def damage(path: Path) -> None:
        record = json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps(change(record)), encoding="utf-8")

    return damage


def put(*keys, value):
    """A function that puts a value into a JSON file, in the place of `keys`."""

    def change(record):
        place = record
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
        return record

    return rewrite(change)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


NO_PLAN = "law/plan.json: cannot be read as a plan .*or begin anew in another --out"
NO_RUN = "law/runs/8-s0/run.json: .*: delete law/runs/8-s0 to train it again"
PLAN, RECORD, DECODING = "plan.json", "runs/8-s0/run.json", "decoding.json"

# (what is wrong, the file, how it is damaged, exit code, what the user sees)
DAMAGED = [
    ("an empty plan", PLAN, lambda path: path.write_bytes(b""), 3, NO_PLAN),
    ("half a plan", PLAN, halve, 3, NO_PLAN),
    ("a plan that is a list", PLAN, rewrite(lambda _: []), 3, NO_PLAN),
    ("a plan without runs", PLAN, put("runs", value=[]), 3, NO_PLAN),
    (
        "a plan without a size",
        PLAN,
        rewrite(lambda r: r["sizes"].pop() and r),
        3,
        NO_PLAN,
    ),
    ("a run less", PLAN, rewrite(lambda r: r["runs"].pop() and r), 3, NO_PLAN),
    (
        "a run twice",
        PLAN,
        rewrite(lambda r: r["runs"].append(r["runs"][0]) or r),
        3,
        NO_PLAN,
    ),
    ("another seed", PLAN, put("runs", 0, "seed", value=7), 3, NO_PLAN),
    ("other lengths", PLAN, put("runs", 0, "lengths", value=[1024]), 3, NO_PLAN),
    ("endless time", PLAN, put("runs", 0, "seconds", value=1e999), 3, NO_PLAN),
    ("no time", PLAN, put("budget", value=None), 3, NO_PLAN),
    ("no workers", PLAN, put("workers", value=0), 3, NO_PLAN),
    ("tokens in words", PLAN, put("tokens", value="many"), 3, NO_PLAN),
    ("no such tokenizer", PLAN, put("tokenizer", value="letters"), 3, NO_PLAN),
    ("half a record", RECORD, halve, 3, NO_RUN),
    ("another's record", RECORD, rewrite(lambda _: {}), 3, NO_RUN),
    ("half of the times", DECODING, halve, 0, ""),
]


@pytest.mark.parametrize(
    ("file", "damage", "code", "says"),
    [row[1:] for row in DAMAGED],
    ids=[row[0] for row in DAMAGED],
)
def test_a_series_with(minillm, here, law, file, damage, code, says):
    damage(law / file)
    before = (law / file).read_bytes()
    got, out, err = minillm(*AGAIN)
    assert got == code, err
    errors = [line for line in err.splitlines() if line.startswith("minillm: ")]
    assert len(errors) == (code != 0) == (out == ""), err
    assert re.search(says, errors[0] if errors else err), err
    assert code == 0 or (law / file).read_bytes() == before


def test_a_run_that_is_deleted_as_advised_is_trained_again(minillm, here, law, whole):
    halve(law / RECORD)
    shutil.rmtree(law / "runs" / "8-s0")
    code, out, err = minillm(*AGAIN)
    assert code == 0, err
    assert figures(json.loads(out)) == figures(json.loads(json.dumps(whole[1])))


@pytest.mark.slow
def test_there_are_no_more_workers_than_runs(minillm, here, whole, monkeypatch):
    shutil.copy(whole[0] / "words.txt", here)
    monkeypatch.setattr(Results, "to_json", interrupted)
    assert minillm(*AGAIN, "--workers", str(10**6))[0] == 130
    plan = json.loads((here / "law" / "plan.json").read_text("utf-8"))
    assert plan["workers"] == len(plan["runs"]) == 5


@pytest.mark.parametrize("name", ["runs", "runs/16-s0"])
def test_what_is_no_run_of_a_series_is_not_removed(sees, law, name):
    """`law/runs`, or one run in it, leads to a folder of somebody's."""
    theirs = Path("theirs")
    folder = theirs / "16-s0" if name == "runs" else theirs
    folder.mkdir(parents=True)
    (folder / "photo.png").write_text("precious", "utf-8")
    shutil.rmtree(law / name)
    (law / name).symlink_to(theirs.resolve())
    sees(*AGAIN, code=2, says="16-s0: is there and holds no run of this series")


@pytest.mark.slow
def test_runs_of_a_series_may_lie_on_a_larger_disk(sees, law, whole):
    shutil.move(law / "runs", "large-disk")
    (law / "runs").symlink_to(Path("large-disk").resolve())
    begun = law / "runs" / "16-s0"
    shutil.rmtree(begun)
    begun.mkdir()
    (begun / ".lock").write_text("4711\n")  # as a run leaves it that is killed early
    out, _ = sees(*AGAIN, code=0, besides=("scale.json",))
    assert figures(json.loads(out)) == figures(whole[1])


def test_the_lock_of_a_series_is_no_link(sees, law):
    Path("diary").write_text("precious", "utf-8")
    (law / ".lock").unlink()
    (law / ".lock").symlink_to(Path("diary").resolve())
    sees(*AGAIN, code=3, says=r"law/\.lock: is a link to .*diary")
