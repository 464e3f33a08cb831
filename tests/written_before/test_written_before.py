"""Runs, a series and a law that an earlier version wrote still load, write, go on.

The runs were killed at step 10 of 12 and hold their checkpoint of step 9; expected.json
holds what the same runs came to where nobody killed them.
"""

import json
import shutil
from pathlib import Path

import pytest

from minillm import compare, fill, generate, load_run, report, scale, train
from minillm.series.ladder import Ladder
from minillm.series.series_progress import Silent
from minillm.studies.advice import advise
from minillm.studies.advice.source import read_law

HERE = Path(__file__).parent
EXPECTED = json.loads((HERE / "expected.json").read_text("utf-8"))
KINDS = sorted(EXPECTED)
LADDER = Ladder(
    name="tiny",
    layers=1,
    widths=(4, 6, 8, 12),
    seeds=(1, 1, 1, 1),
    held_out=16,
    tokens=30_000,
    lr=0.01,
    budget=30.0,
    least_tokens=20_000,
    untrained=(24,),
)


@pytest.fixture
def copied(tmp_path):
    """A function that copies what was written to where tests may write."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(HERE / name, tmp_path / name))

    return copy


@pytest.mark.parametrize("kind", KINDS)
def test_an_unfinished_run_loads(kind, copied):
    run = load_run(copied(kind))
    assert run.model.config.arch == kind
    assert run.record["status"] == "running"


@pytest.mark.parametrize("kind", KINDS)
def test_an_unfinished_run_goes_on_to_the_same_end(kind, copied):
    folder = copied(kind)
    options = json.loads((folder / "run.json").read_text("utf-8"))["options"]
    record = train(**{**options, "out": str(folder)}, resume=True, draw=False)
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    # Another machine's products round otherwise.
    assert losses == pytest.approx(EXPECTED[kind]["losses"], rel=1e-4)
    val_loss = record["results"]["val_loss"]
    assert val_loss == pytest.approx(EXPECTED[kind]["val_loss"], rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_has_what_was_the_only_choice(kind, copied, tmp_path):
    """And another run begins with its weights."""
    folder = copied(kind)
    shape = load_run(folder).model.config
    assert (shape.norm_kind, shape.activation, shape.kv_heads) == (
        "layer",
        "gelu",
        shape.n_heads,
    )
    assert not shape.qk_norm
    options = json.loads((folder / "run.json").read_text("utf-8"))["options"]
    chosen = {name: options[name] for name in ("data", "objective", "batch")}
    start = {**chosen, "base": str(folder), "out": str(tmp_path / "next")}
    record = train(**start, steps=1, workers="1", device="cpu", draw=False)
    assert record["model"]["norm_kind"] == "layer"


@pytest.mark.parametrize("kind", ["gpt", "lstm", "encdec"])
def test_a_run_writes(kind, copied):
    prompt = "12" if kind == "encdec" else "她们"
    assert isinstance(generate(copied(kind), prompt, max_tokens=4), str)


def test_a_masked_run_fills(copied):
    assert len(fill(copied("bert"), "the [MASK]", top=3)[0]) == 3


@pytest.mark.slow
def test_a_finished_series_is_not_trained_again(copied):
    class Listener(Silent):
        def started(self, run):
            raise AssertionError(f"{run.name} is trained again")

    folder = copied("series")
    before = json.loads((folder / "scale.json").read_text("utf-8"))
    after = scale(LADDER, data="facts", out=folder, reporter=Listener(), workers=1)
    assert len(after["runs"]) == len(before["runs"])
    assert after["law"]["parameters"] == pytest.approx(
        before["law"]["parameters"], rel=1e-3
    )
    assert report(folder, out=folder / "page.html")


def test_runs_of_before_are_compared(copied):
    folder = copied("series") / "runs"
    runs = compare([folder / "4-s0", folder / "8-s0"])
    assert len(runs["runs"]) == 2


def test_a_plan_by_a_law_of_before():
    plan = advise(read_law(HERE / "fit.json"), flops=1e15)
    assert plan["law"]["parameters"]["alpha"] == pytest.approx(0.4, rel=1e-4)
