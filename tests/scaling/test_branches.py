"""A series whose runs branch: laws of tokens, checked rates, points left out."""

import json
import math
import shutil
from dataclasses import replace

import pytest

from minillm.errors import UsageError
from minillm.runs.run import read_record
from minillm.series import scale
from minillm.series.branches import RateCheck
from minillm.series.plan import Run, read_plan
from minillm.series.points import Point, in_transition, sizes_of, unfit

LENGTHS = (12_288, 25_600, 51_200)


@pytest.fixture(scope="module")
def branched(tiny, words, tmp_path_factory):
    """(its ladder, its folder, its result)"""
    ladder = replace(
        tiny,
        name="branched",
        tokens=52_000,
        divisors=(4, 2, 1),
        rates=(0.2, 3.0),
        least_tokens=12_000,
        enough_tokens=52_000,
        untrained=(),
        warmup=1,
    )
    folder = tmp_path_factory.mktemp("branched") / "series"
    return ladder, folder, scale(ladder, data=words, out=folder)


@pytest.mark.slow
def test_every_branch_has_a_folder_and_a_record(branched):
    _, folder, result = branched
    names = {path.name for path in (folder / "runs").iterdir()}
    ends = ["-0.01M", "-0.03M", ""]
    expected = {f"{w}-s0{end}" for w in (4, 8, 12, 16) for end in ends}
    expected |= {f"4-s1{end}" for end in ends} | {"24-s0"}
    expected |= {f"{w}-s0-rate{rate}" for w in (4, 16) for rate in ("0.2", "3")}
    assert names == expected
    assert len(result["runs"]) == len(expected)
    assert {run["results"]["tokens"] for run in result["runs"]} == set(LENGTHS)


@pytest.mark.slow
def test_the_law_of_one_length_is_that_of_the_longest(branched):
    _, _, result = branched
    assert {size["tokens"] for size in result["sizes"]} == {LENGTHS[-1]}
    assert result["law"]["n"] == 4


@pytest.mark.slow
def test_there_is_a_law_of_size_and_tokens(branched):
    _, _, result = branched
    law = result["law_of_size_and_tokens"]
    assert law["n"] == len(result["branches"]) >= 8
    assert set(law["parameters"]) == {"E", "A", "alpha", "B", "beta"}
    assert law["runs"] == 4
    assert not any("luck" in warning for warning in law["warnings"])
    assert any(path.endswith("size_and_tokens.png") for path in result["figures"])


@pytest.mark.slow
def test_the_rate_is_checked_at_both_ends(branched):
    ladder, _, result = branched
    checks = {check["width"]: check for check in result["rate_checks"]}
    assert set(checks) == {4, 16}
    for width, check in checks.items():
        assert set(check["losses"]) == {0.2, 1.0, 3.0}
        rule = ladder.lr * (32 / width) ** 0.8
        assert check["lr"][3.0] == pytest.approx(3 * rule)
        assert check["best"] == min(check["losses"], key=check["losses"].get)


@pytest.mark.slow
def test_a_branch_that_is_missing_is_made_again_the_same(branched, words, tmp_path):
    ladder, folder, result = branched
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "runs" / "8-s0")
    shutil.rmtree(copy / "runs" / "8-s0-0.03M")
    again = scale(ladder, data=words, out=copy)
    for key in ("law", "law_of_size_and_tokens", "branches"):
        assert forget_time(again[key]) == forget_time(result[key])
    kept = read_record(folder / "runs" / "8-s0-0.01M")
    assert read_record(copy / "runs" / "8-s0-0.01M") == kept


def forget_time(found):
    if isinstance(found, dict):
        return {k: forget_time(v) for k, v in found.items() if "seconds" not in k}
    return [forget_time(v) for v in found] if isinstance(found, list) else found


@pytest.mark.slow
def test_a_plan_is_repeated_elsewhere(branched, words, tmp_path):
    _, folder, result = branched
    plan = read_plan(folder / "plan.json")
    needed = [run for run in plan.runs if run.repeat == 0 and run.rate == 1]
    # A run alone, without the branches before it, is the same to the last bit.
    alone = [replace(run, lengths=run.lengths[-1:]) for run in needed]
    few = replace(plan, runs=tuple(alone))
    few.write(tmp_path / "plan.json")
    again = scale(plan=tmp_path / "plan.json", out=tmp_path / "elsewhere")
    assert read_plan(tmp_path / "elsewhere" / "plan.json") == few
    written = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    for size in written["sizes"]:
        size["lr"] *= 2
    (tmp_path / "faster.json").write_text(json.dumps(written), encoding="utf-8")
    with pytest.raises(UsageError, match="another series, with learning rate"):
        scale(plan=tmp_path / "faster.json", out=tmp_path / "elsewhere")
    assert {r["results"]["val_loss"] for r in again["runs"]} <= {
        r["results"]["val_loss"] for r in result["runs"]
    }
    other = tmp_path / "other.txt"
    other.write_text("another text " * 20_000, encoding="utf-8")
    replace(few, data=str(other)).write(tmp_path / "other.json")
    with pytest.raises(UsageError, match="another text"):
        scale(plan=tmp_path / "other.json", out=tmp_path / "x")


# ------------------------------------------------------ made-up points


def made_up(width=8, tokens=1_000_000, loss=2.0, train_loss=None, **options) -> Point:
    steps = tokens // 1000
    run = Run(width, 0, 0, False, (tokens,), 1.0, options.pop("rate", 1.0))
    results = {
        "val_loss": loss,
        "train_loss": train_loss or loss,
        "val_accuracy": 0.5,
        "seconds": 1.0,
        "steps": steps,
        "tokens": tokens,
    }
    record = {
        "results": results,
        "options": {"warmup": 10, "lr": 0.01, **options},
        "config": {"n_layers": 1},
        "parameters": {"non_embedding": width},
    }
    return Point(f"{width}-{tokens}", run, tokens, record)


def test_what_was_learned_by_heart_is_no_part_of_a_law():
    good, bad = made_up(loss=2.0, train_loss=1.98), made_up(8, 2_000_000, 2.0, 1.9)
    assert list(unfit([good, bad])) == [bad.name]
    assert "5.3%" in unfit([bad])[bad.name]


def test_what_is_still_warming_up_is_no_part_of_a_law():
    (reason,) = unfit([made_up(warmup=600)]).values()
    assert "1000 steps are not past a warm-up of 600" in reason


def test_what_comes_before_a_transition_is_left_out():
    tokens = [1_000_000, 2_000_000, 4_000_000, 8_000_000]
    smooth = [1.2 + 20 * n**-0.2 for n in tokens]
    assert in_transition(sizes_of(list(map(made_up, [8] * 4, tokens, smooth)))) == {}
    # Nothing is learned at first, then suddenly something.
    bent = [2.0, 1.99, 1.6, 1.45]
    found = in_transition(sizes_of(list(map(made_up, [8] * 4, tokens, bent))))
    assert set(found) == {(8, 1_000_000), (8, 2_000_000)}


@pytest.mark.parametrize(
    ("losses", "doubted"),
    [
        ({0.6: 2.1, 1.0: 2.0, 1.6: 2.1}, False),
        ({0.6: 2.1, 1.0: 2.0, 1.6: 1.9}, True),
        ({0.6: 1.9, 1.0: 2.0, 1.6: 2.1}, True),
        ({0.6: 2.1, 1.0: 2.0, 1.6: 1.999}, False),  # that may be luck
    ],
)
def test_a_best_rate_at_the_edge_is_a_doubt(losses, doubted):
    check = RateCheck(8, 1000, dict.fromkeys(losses, 0.1), losses)
    assert (check.warning is not None) == doubted
    assert check.gain == pytest.approx(1 - min(losses.values()) / 2.0)


@pytest.mark.slow
def test_json_of_a_series_is_json(branched):
    _, folder, _ = branched
    text = (folder / "scale.json").read_text("utf-8")
    assert not any(map(math.isnan, json.loads(text)["law"]["interval95"]["alpha"]))
