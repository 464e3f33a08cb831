"""Sessions of a series: starting again, stopping, runs that fail."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from minillm.errors import DivergedError, UsageError
from minillm.runs.run import read_record
from minillm.series import scale
from minillm.series.plan import read_plan
from minillm.series.session import Session


def rewrite(path: Path, **changes) -> None:
    """Change some keys of a JSON file."""
    record = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(record | changes), "utf-8")


def test_started_again_it_trains_only_what_is_missing(
    series, copied, tiny, words, quickly, listener
):
    folder, before, earlier = series
    shutil.rmtree(copied / "runs" / "8-s0")  # never begun
    cut_off = copied / "runs" / "12-s0"
    shutil.rmtree(cut_off / "checkpoints")
    for name in ("run.json", "metrics.jsonl"):  # killed as it began
        (cut_off / name).unlink()
    running = copied / "runs" / "16-s0"  # killed on its way
    rewrite(running / "run.json", status="running", results=None)
    shutil.rmtree(running / "checkpoints")
    after = scale(tiny, data=words, out=copied, reporter=listener, workers=1)
    missing = {"8-s0", "12-s0", "16-s0"}
    assert set(listener.runs_started) == missing
    assert set(listener.runs_finished) == set(earlier.runs_finished)
    for name in set(earlier.runs_finished) - missing:
        now, then = copied / "runs" / name, folder / "runs" / name
        assert read_record(now) == read_record(then)
    for key in ("law", "held_out", "tokens", "decoding", "warnings"):
        assert after[key] == before[key]
    assert [size["losses"] for size in after["sizes"]] == [
        size["losses"] for size in before["sizes"]
    ]


@pytest.mark.parametrize(
    ("change", "words_of_error"),
    [
        ({"seed": 1}, "seed 0 instead of 1"),
        ({"preset": "smoke"}, "preset tiny instead of smoke"),
        ({"preset": {"lr": 0.02}}, "sizes or settings"),
        ({"data": "stdlib"}, "data .*words.txt instead of stdlib"),
        ({"arch": "lstm"}, "arch gpt instead of lstm"),
    ],
)
def test_another_series_is_not_written_over(
    series, tiny, words, change, words_of_error
):
    if isinstance(change.get("preset"), dict):
        change = {"preset": replace(tiny, **change["preset"])}
    before = sorted(series[0].rglob("*"))
    with pytest.raises(UsageError, match=f"holds another series.*{words_of_error}"):
        scale(**{"preset": tiny, "data": words, "out": series[0], **change})
    assert sorted(series[0].rglob("*")) == before


@pytest.mark.slow
def test_a_series_of_lstms_has_a_law_of_its_own(
    tiny, words, tmp_path, monkeypatch, quickly, listener
):
    monkeypatch.chdir(tmp_path)
    # More tokens would take longer and show no more.
    tiny = replace(tiny, seeds=(1, 1, 1, 1), tokens=20_480, untrained=(), budget=50.0)
    result = scale(tiny, data=words, arch="lstm", reporter=listener)
    folder = tmp_path / "runs" / "scale-tiny-lstm-words"
    assert result["out"] == str(folder)
    plan = read_plan(folder / "plan.json")
    assert plan.arch == "lstm"
    assert json.loads((folder / "plan.json").read_text("utf-8"))["arch"] == "lstm"
    assert {run["config"]["arch"] for run in result["runs"]} == {"lstm"}
    assert result["law"]["parameters"]["alpha"] > 0
    assert all(row["seconds_per_token"] > 0 for row in result["decoding"])
    again = scale(
        tiny, data=words, plan=folder / "plan.json", out=folder, reporter=listener
    )
    assert again["law"] == result["law"]


def test_a_plan_from_before_there_was_a_choice_is_of_gpts(copied):
    record = json.loads((copied / "plan.json").read_text("utf-8"))
    del record["arch"]
    (copied / "plan.json").write_text(json.dumps(record), "utf-8")
    assert read_plan(copied / "plan.json").arch == "gpt"


def test_a_text_that_has_changed_is_noticed(copied, tiny, words, tmp_path):
    changed = tmp_path / "words.txt"
    changed.write_text(Path(words).read_text("utf-8") + "more", "utf-8")
    rewrite(copied / "plan.json", data=str(changed))
    with pytest.raises(UsageError, match="another text"):
        scale(tiny, data=str(changed), out=copied)


def test_a_folder_with_something_else_in_it_is_left_alone(tiny, words, tmp_path):
    (tmp_path / "letter.txt").write_text("Dear", "utf-8")
    for out in (tmp_path, tmp_path / "letter.txt"):
        with pytest.raises(UsageError, match="holds no series"):
            scale(tiny, data=words, out=out)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.fixture
def wild(monkeypatch):
    """A function that lets the runs of some widths diverge."""
    tame = Session._configs

    def let(*widths):
        def configs(self, run):
            found = tame(self, run)
            if run.width not in widths:
                return found
            return [replace(config, lr=1e30) for config in found]

        monkeypatch.setattr(Session, "_configs", configs)

    return let


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a spawned process knows no monkeypatch")
def test_a_run_that_diverges_is_left_out_and_named(
    wild, tiny, words, tmp_path, quickly, listener
):
    wild(8)
    ladder = replace(tiny, widths=(4, 8, 12, 16, 20), seeds=(1, 1, 1, 1, 1))
    out = tmp_path / "out"
    result = scale(ladder, data=words, out=out, reporter=listener)
    assert set(listener.left_out) == {"8-s0"}
    assert "diverged" in listener.left_out["8-s0"]
    (excluded,) = result["law"]["excluded"]
    assert excluded["run"] == "8-s0" and "diverged" in excluded["reason"]
    assert any("8-s0" in warning for warning in result["warnings"])
    assert [size["width"] for size in result["sizes"]] == [4, 12, 16, 20, 24]
    assert result["law"]["n"] == 4

    wild(8, 12)
    shutil.rmtree(out / "runs" / "12-s0")
    listener.runs_started.clear()
    with pytest.raises(DivergedError, match=r"only 3 sizes.*12-s0.*diverged"):
        scale(ladder, data=words, out=out, reporter=listener)
    assert listener.runs_started == ["12-s0"]
    assert set(listener.left_out) == {"8-s0", "12-s0"}


@pytest.mark.slow
def test_a_held_out_run_that_failed_leaves_the_law(
    series, copied, tiny, words, quickly
):
    held_out = copied / "runs" / "24-s0" / "run.json"
    rewrite(held_out, status="diverged", results=None)
    result = scale(tiny, data=words, out=copied)
    assert result["law"]["parameters"] == series[1]["law"]["parameters"]
    assert result["held_out"]["predicted"] == series[1]["held_out"]["predicted"]
    assert result["held_out"]["measured"] is None
    assert result["held_out"]["relative_error"] is None


@pytest.mark.slow
def test_repeats_that_would_end_too_late_are_left_out(
    copied, tiny, words, quickly, listener
):
    plan = read_plan(copied / "plan.json")
    late = tuple(replace(run, seconds=1e6) if run.repeat else run for run in plan.runs)
    replace(plan, runs=late).write(copied / "plan.json")
    shutil.rmtree(copied / "runs" / "4-s1")
    shutil.rmtree(copied / "runs" / "4-s0")
    result = scale(tiny, data=words, out=copied, reporter=listener)
    assert listener.runs_started == ["4-s0"]
    assert "run 4-s1, a repeat, is left out" in result["warnings"][-1]
    assert any("4-s1" in note for note in listener.notes)
    assert len(result["runs"]) == 5


def test_the_plan_of_another_series_with_other_settings(copied, monkeypatch):
    """The same sizes, tokens and seeds: what differs is the setting alone."""
    monkeypatch.setattr(Session, "run", lambda self: self)
    path = copied / "plan.json"
    found = scale(plan=path, model={"positions": "rotary"}, out=copied / "rotary")
    before = read_plan(path)
    assert found.ladder.model == found.given.ladder.model == {"positions": "rotary"}
    assert found.given.config(8).positions == "rotary"
    assert (found.given.runs, found.given.tokens) == (before.runs, before.tokens)
    assert replace(found.ladder, model={}) == before.ladder
    assert scale(plan=path, out=copied / "again").given == before


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"preset": "hour"}, "preset hour: .*plan.json has .*: leave preset out"),
        ({"data": "bilingual"}, "data bilingual: .* has .*words"),
        # What a series has that is asked for nothing is asked for all the same.
        ({"preset": "demo"}, "preset demo: .* has "),
        ({"data": "stdlib"}, "data stdlib: .* has .*words"),
        ({"objective": "mlm"}, "objective mlm: .* has clm"),
        ({"arch": "llama"}, "arch llama: .* has gpt"),
        ({"seed": 3}, "seed 3: .* has 0"),
        ({"budget": 5.0}, "budget 5.0: "),
    ],
)
def test_a_plan_is_repeated_as_it_is_or_not_at_all(copied, monkeypatch, asked, says):
    monkeypatch.setattr(Session, "run", lambda self: self)
    path = copied / "plan.json"
    with pytest.raises(UsageError, match=says):
        scale(**asked, plan=path, out=copied / "again")
    plan = read_plan(path)
    same = {name: getattr(plan, name) for name in asked if name != "preset"}
    assert scale(**same, plan=path, out=copied / "again").given == plan
