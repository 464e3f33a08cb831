"""Files of runs and series as a stranger may have made them: none is waited for, none
takes all memory, and what is wrong is said with the name of the file."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minillm import weights
from minillm.runs import checkpoint
from minillm.series.ladder import PRESETS
from minillm.series.plan import Plan, within_budget

NEWEST = Path("run/checkpoints/step-000006")
POSIX = pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")
GENERATE = ["generate", "run", "She"]
RESUME = ["train", "--resume", "--out", "run"]
COMPARE = ["compare", "run", "other"]


def change(path: Path, *keys, value) -> None:
    """Put a value into a JSON file, in the place of `keys`."""
    record = json.loads(path.read_text("utf-8"))
    place = record
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(record), encoding="utf-8")


def sign(folder: Path) -> None:
    """Make a manifest that agrees with what lies there."""
    files = {name: checkpoint._fingerprint(folder / name) for name in checkpoint.FILES}
    text = json.dumps({"format": checkpoint.FORMAT, "files": files})
    (folder / "manifest.json").write_text(text, "utf-8")


@pytest.fixture
def other(run) -> Path:
    return Path(shutil.copytree(run, "other"))


@pytest.fixture
def series(here, run) -> Path:
    """A folder with a plan and a run: as far as reading it goes, a series."""
    plan = Plan(
        ladder=PRESETS["smoke"],
        data="stdlib",
        objective="clm",
        arch="gpt",
        sha256="ab",
        tokenizer="chars",
        seed=0,
        workers=2,
        budget=600.0,
        tokens=1_500_160,
        validation_batches=9,
        step_seconds=dict.fromkeys((16, 24, 32, 40, 48, 72), 0.01),
        seconds_before=1.0,
    )
    folder = Path("law")
    shutil.copytree(run, folder / "runs" / "16-s0")
    within_budget(plan).write(folder / "plan.json")
    (folder / "scale.json").write_text('{"runs": []}')
    (folder / "decoding.json").write_text('{"points": []}')
    return folder


# (the file, who reads it)
READERS = [
    ("run/run.json", GENERATE),
    ("run/run.json", COMPARE),
    ("run/run.json", ["report", "run"]),
    ("run/run.json", ["classify", "run", "a text"]),
    ("run/run.json", ["chat", "run"]),
    ("run/run.json", ["train", "--config=run/run.json"]),
    ("run/metrics.jsonl", COMPARE),
    ("run/metrics.jsonl", ["report", "run"]),
    ("run/tokenizer.json", ["embed", "run", "a text"]),
    ("law/plan.json", ["scale", "--plan=law/plan.json", "--out=new"]),
    ("law/plan.json", ["report", "law"]),
    ("law/plan.json", ["compare", "law", "law"]),
    ("law/scale.json", ["report", "law"]),
    ("law/scale.json", ["plan", "--law=law", "--flops=1e12", "--speed=1e9"]),
    ("law/decoding.json", ["report", "law"]),
    ("fit.json", ["plan", "--law=fit.json", "--flops=1e12", "--speed=1e9"]),
    ("table.csv", ["fit", "table.csv", "--x=N", "--y=loss"]),
    ("rows.tsv", ["data", "show", "rows.tsv"]),
    ("text.zip", ["data", "show", "text.zip"]),
    ("text.tar.gz", ["data", "show", "text.tar.gz"]),
]


@POSIX
@pytest.mark.parametrize(
    ("file", "argv"), READERS, ids=[f"{row[0]} {row[1][0]}" for row in READERS]
)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_has_no_end_is_not_waited_for(
    sees, series, other, monkeypatch, file, argv, kind
):
    monkeypatch.setattr("minillm.reading.PATIENCE", 0.05)
    Path(file).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(file)
    else:
        Path(file).symlink_to("/dev/zero")
    sees(*argv, code=3, says=rf"{file}: .*is a {kind}")


@pytest.mark.parametrize(
    ("file", "argv"),
    [row for row in READERS if row[0].endswith("json")],
    ids=[f"{row[0]} {row[1][0]}" for row in READERS if row[0].endswith("json")],
)
@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":1,"b":' * 99 + "1" + "}" * 99, "[]"]
)
def test_json_that_is_no_record(sees, series, other, file, argv, text):
    Path(file).write_text(text, encoding="utf-8")
    sees(*argv, code=3, says=rf"minillm: {file}[:,] ")


@POSIX
@pytest.mark.parametrize(
    ("file", "argv"), READERS, ids=[f"{row[0]} {row[1][0]}" for row in READERS]
)
def test_a_file_of_holes_is_not_read(minillm, series, other, file, argv):
    with open(file, "ab") as opened:
        opened.truncate(1 << 35)  # which takes no room on the disk
    code, _, err = minillm(*argv)
    os.truncate(file, 1 << 10)
    assert code == 3
    assert f"{file}: " in err
    assert "bytes are too many" in err or "are holes" in err


# (keys of run.json, a value, what is said)
RECORDS = [
    (["parameters"], [], "parameters must be an object"),
    (["parameters", "non_embedding"], "many", "parameters.non_embedding must be a num"),
    (["results", "val_loss"], [1], r"results.val_loss must be a number"),
    (["results", "tokens"], 1e300, "results.tokens must be a number"),
    (["results", "seconds"], -1, "results.seconds must be a number from 0"),
    (["data", "labels"], {"a": 1}, "data.labels must be a list"),
    (["data", "tokenizer"], 5, "data.tokenizer must be an object"),
    (["config"], "gpt", "config must be an object"),
    (["config", "arch"], ["gpt"], "config.arch must be text"),
    (["options", "lr"], "fast", "options.lr must be a number"),
    (["workers"], 2, "workers must be an object"),
    (["versions"], [1], "versions must be an object"),
    (["flops", "per_token"], True, "flops.per_token must be a number"),
]


@pytest.mark.parametrize(("keys", "value", "says"), RECORDS, ids=str)
def test_a_record_of_wrong_kinds(sees, run, other, keys, value, says):
    change(run / "run.json", *keys, value=value)
    for argv in (GENERATE, COMPARE, ["report", "run"]):
        sees(*argv, code=3, says=rf"run/run\.json: .*{says}")


def test_a_context_that_no_weight_bears_out(sees, run):
    """A table of sinusoids is made for it, and lies in no file."""
    for part in ("options", "model"):
        change(run / "run.json", part, "positions", value="sinusoidal")
        change(run / "run.json", part, "context", value=10**8)
    sees(*GENERATE, code=3, says="its context of 100,000,000 tokens is too long")


# (a line of metrics.jsonl, what is said)
LINES = [
    ('{"step": 2, "tokens": 64, "loss": "low"}', "loss must be a number"),
    ('{"step": 2, "tokens": [64], "loss": 1}', "tokens must be a number"),
    ('{"step": 2, "tokens": 64, "loss": NaN}', "not finite"),
    ('{"step": 2, "tokens": 64, "loss": 1, "seconds": -1}', "seconds must be"),
    ("[1]", "it must hold an object"),
    ("{", "not JSON"),
    ("[" * 100_000, "nested too deeply"),
]


@pytest.mark.parametrize(("line", "says"), LINES)
def test_a_line_of_metrics_of_wrong_kinds(sees, run, other, line, says):
    lines = (run / "metrics.jsonl").read_text("utf-8").splitlines()
    lines[1] = line
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    says = rf"run/metrics\.jsonl: .*line 2.*{says}"
    sees(*COMPARE, code=3, says=says)
    sees("report", "run", code=3, says=says)


LADDER = "ladder"
# (keys of plan.json, a value, what is said)
PLANS = [
    ([LADDER, "seeds"], [10**9] * 5, r"ladder.seeds\[0\] must be a whole number"),
    ([LADDER, "seeds"], [1000] * 5000, "seeds: give a number|more than 10,000 runs"),
    ([LADDER, "widths"], [16, 24, 32, 40, 10**10], r"ladder.widths\[4\] must be"),
    ([LADDER, "held_out"], 10**10, "ladder.held_out must be"),
    ([LADDER, "untrained"], [10**10], r"ladder.untrained\[0\] must be"),
    ([LADDER, "batch"], 0, "ladder.batch must be a whole number from 1"),
    ([LADDER, "context"], 0, "ladder.context must be a whole number from 1"),
    ([LADDER, "lr"], -0.1, "ladder.lr must be a number"),
    ([LADDER, "divisors"], [0, 1], r"ladder.divisors\[0\] must be"),
    (["workers"], 10**9, "workers must be a whole number from 1"),
    (["workers"], -1, "workers must be a whole number from 1"),
    (["validation_batches"], -5, "validation_batches must be a whole number from 0"),
    (["tokens"], -1, "tokens must be"),
    (["seed"], -1, "seed must be a whole number from 0"),
    (["budget"], -1, "budget must be a number from 0"),
    (["sizes", 0, "step_seconds"], -1, r"sizes\[0\].step_seconds must be"),
    (["sizes", 0, "lr"], "high", r"sizes\[0\].lr must be"),
    (["sizes", 0, "lr"], 0.5, "its learning rates do not fall with width"),
    (["sizes"], [], "its sizes are not those of its ladder"),
    (["runs", 0, "seconds"], -1, r"runs\[0\].seconds must be"),
    (["runs", 0, "lengths"], "many", r"runs\[0\].lengths must be a list"),
]


@pytest.mark.parametrize(("keys", "value", "says"), PLANS, ids=str)
def test_a_plan_that_makes_no_sense(sees, series, keys, value, says):
    change(series / "plan.json", *keys, value=value)
    says = rf"law/plan\.json: cannot be read as a plan \({says}"
    sees("scale", "--plan=law/plan.json", "--out=new", code=3, says=says)


# (the file, keys, a value, who reads it)
OF_SERIES = [
    ("law/scale.json", ["runs"], 5, ["report", "law"]),
    ("law/scale.json", ["law"], [], ["plan", "--law=law", "--flops=1e9", "--speed=1"]),
    ("law/scale.json", ["warnings"], {"a": 1}, ["report", "law"]),
    ("law/scale.json", ["truth"], {"E": 1}, ["report", "law"]),
    ("law/plan.json", ["ladder", "name"], [], ["report", "law"]),
    ("law/plan.json", ["sizes"], [1], ["report", "law"]),
    ("law/decoding.json", ["points"], [{}], ["report", "law"]),
]


@pytest.mark.parametrize(("file", "keys", "value", "argv"), OF_SERIES, ids=str)
def test_a_series_of_wrong_kinds(sees, series, file, keys, value, argv):
    change(Path(file), *keys, value=value)
    sees(*argv, code=3, says=rf"minillm: {file}: .*{keys[0]}")


# (what `fit --json` is said to have printed, exit code, what is said)
FITS = [
    ({"law": [], "parameters": {}}, 3, "law"),
    ({"parameters": {"A": "x", "alpha": 1}}, 3, "parameters.A must be a number"),
    (
        {"parameters": {"A": 1, "alpha": 1, "B": 1}},
        3,
        "of 2 variables has the parameters E, A, alpha",
    ),
    ({"parameters": {"A": 1, "alpha": 1, "gamma": 1}}, 3, "gamma"),
    ({"parameters": {"A": 1, "alpha": 1e9, "B": 1, "beta": 1}}, 3, "alpha must be"),
    (
        {"parameters": {"A": 1e25, "alpha": 0.01, "B": 1e-25, "beta": 0.01}},
        2,
        "too large",
    ),
]


@pytest.mark.parametrize(("record", "code", "says"), FITS, ids=str)
def test_a_law_of_wrong_kinds(sees, here, record, code, says):
    (here / "fit.json").write_text(json.dumps(record), encoding="utf-8")
    argv = ["plan", "--law=fit.json", "--flops=1e12", "--speed=1e9"]
    sees(*argv, code=code, says=rf"fit\.json: .*{says}")


def wide(run: Path) -> None:
    record = json.loads((run / "run.json").read_text("utf-8"))
    record["options"] |= {"d_model": 10**6, "n_layers": 100}
    record["model"] |= {"d_model": 10**6, "n_layers": 100}
    (run / "run.json").write_text(json.dumps(record), "utf-8")


def extra_array(name: str):
    def add(run: Path) -> None:
        arrays = dict(load_file(NEWEST / name))
        arrays["extra"] = np.zeros(1_000, np.float32)
        save_file(arrays, NEWEST / name)
        sign(NEWEST)

    return add


def far_too_large(name: str):
    """As the manifest says it is; of holes, so that it costs nothing here."""

    def grow(run: Path) -> None:
        os.truncate(NEWEST / name, 1 << 35)
        file = NEWEST / "manifest.json"
        change(file, "files", name, "bytes", value=1 << 35)

    return grow


WEIGHTS, MOMENTS = checkpoint.FILES[:2]
# (what is wrong, how it is made, who reads it, what is said)
SHAPES = [
    (
        "a wide model",
        wide,
        GENERATE,
        "has 11,760 numbers, and the model",
    ),
    ("a wide model", wide, ["eval", "run"], "and the model of run.json"),
    ("a wide model", wide, ["classify", "run", "a"], "and the model of run.json"),
    (
        "more weights",
        extra_array(WEIGHTS),
        GENERATE,
        "has 12,760 .* run.json 11,760",
    ),
    ("more moments", extra_array(MOMENTS), RESUME, "extra is in the model or in the f"),
    ("far more weights", far_too_large(WEIGHTS), GENERATE, "far too large for its mod"),
    ("far more moments", far_too_large(MOMENTS), GENERATE, "far too large for its mod"),
    ("a far too large state", far_too_large("state.json"), GENERATE, "far too large f"),
]


@POSIX
@pytest.mark.parametrize(
    ("make", "argv", "says"),
    [row[1:] for row in SHAPES],
    ids=[f"{row[0]} {row[2][0]}" for row in SHAPES],
)
def test_shapes_are_compared_before_anything_is_allocated(
    minillm, run, monkeypatch, make, argv, says
):
    if argv == RESUME:
        change(run / "run.json", "status", value="interrupted")
    make(run)
    if argv != RESUME:
        monkeypatch.setattr(weights, "read_arrays", lambda _: pytest.fail("was read"))
    code, _, err = minillm(*argv)
    assert code == 3, err
    assert re.search(says, err), err


@POSIX
def test_a_checkpoint_far_too_large_is_passed_over_by_resume(minillm, run):
    change(run / "run.json", "status", value="interrupted")
    far_too_large(MOMENTS)(run)
    code, _, err = minillm(*RESUME)
    assert code == 0, err
    assert "step-000006.damaged: was damaged: going on from step 4" in err
    shutil.rmtree(run / "checkpoints" / "step-000006.damaged")
