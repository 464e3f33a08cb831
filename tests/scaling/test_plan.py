"""The plan: what fits into the budget, in which order, and what is said about it."""

import itertools
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.errors import DataError
from minillm.series.ladder import PRESETS, Ladder
from minillm.series.plan import (
    FINISHING,
    SLOWER,
    STARTING,
    Plan,
    makespan,
    read_plan,
    with_rates,
    within_budget,
)
from minillm.series.series_progress import Reporter

LADDER = Ladder(
    name="steps",
    layers=1,
    widths=(4, 8, 12, 16),
    seeds=(3, 3, 2, 1),
    held_out=24,
    tokens=1_024_000,
    lr=0.01,
    budget=300.0,
    enough_tokens=512_000,
    least_tokens=256_000,
    held_out_seeds=2,
)
STEP_SECONDS = {4: 0.01, 8: 0.02, 12: 0.03, 16: 0.04, 24: 0.08}


def plan(budget, slower=1.0, **changes) -> Plan:
    """A plan for a machine whose probe took these step times, times `slower`."""
    blank = Plan(
        ladder=LADDER,
        data="stdlib",
        objective="clm",
        arch="gpt",
        sha256="0" * 64,
        tokenizer="chars",
        seed=5,
        workers=2,
        budget=budget,
        tokens=LADDER.tokens,
        validation_batches=10,
        step_seconds={width: slower * s for width, s in STEP_SECONDS.items()},
        seconds_before=7.0,
    )
    return within_budget(replace(blank, **changes))


def seeds(plan: Plan) -> dict[int, int]:
    return dict(Counter(run.width for run in plan.runs))


def test_with_time_for_everything_everything_is_planned():
    found = plan(budget=1_000)
    assert seeds(found) == {4: 3, 8: 3, 12: 2, 16: 1, 24: 2}
    assert found.tokens == LADDER.tokens
    (warning,) = found.warnings
    assert "one length" in warning
    assert [run.width for run in found.runs if run.held_out] == [24, 24]
    assert [run.seed for run in found.runs if run.width == 8] == [5, 6, 7]
    assert [run.repeat for run in found.runs if run.width == 8] == [0, 1, 2]


def test_the_longest_run_begins_first():
    lengths = [run.seconds for run in plan(budget=1_000).runs]
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize("budget", [300, 1e4])
def test_both_cores_have_work_until_the_demo_ends(budget):
    """By the seconds of its steps on a core of 2026, side by side."""
    seconds = {16: 0.006, 24: 0.009, 32: 0.012, 48: 0.018, 64: 0.025, 96: 0.043}
    ladder = PRESETS["demo"]
    found = plan(
        budget, ladder=ladder, tokens=ladder.tokens, step_seconds=seconds, workers=2
    )
    busy = sum(run.seconds for run in found.runs) / (2 * found.training_seconds)
    assert busy > 0.97


def test_a_run_takes_its_steps_and_its_evaluation():
    found = plan(budget=1_000)
    longest = found.runs[0].seconds
    assert 1_000 * 0.08 < longest < 1.15 * 1_000 * 0.08
    more = plan(budget=1_000, validation_batches=1_010).runs[0].seconds
    assert 0.2 * 80 < more - longest < 0.6 * 80


def test_the_seconds_are_those_of_the_corpus_the_runs_and_the_rest():
    found = plan(budget=1_000)
    assert found.seconds == 7.0 + found.training_seconds + FINISHING
    assert found.training_seconds >= sum(run.seconds for run in found.runs) / 2


def test_tokens_give_way_before_repeats():
    roomy = plan(budget=1_000)
    found = plan(budget=roomy.seconds - 20)
    assert found.seconds <= found.budget
    assert LADDER.enough_tokens <= found.tokens < LADDER.tokens
    assert found.tokens % LADDER.tokens_per_step == 0
    assert len(found.runs) == len(roomy.runs)
    assert f"{found.tokens:,} tokens" in found.warnings[-1]


def test_then_repeats_third_ones_first_and_narrow_ones_before_wide_ones():
    left = [seeds(plan(budget=budget)) for budget in range(190, 60, -1)]
    for more, less in itertools.pairwise(left):
        gone = [width for width in more if less[width] < more[width]]
        if gone:
            level = max(more[width] for width in gone)
            # Nothing wider has as many left, and nobody has more.
            assert max(less.values()) <= max(level, *more.values())
    assert left[0][4] >= 2
    assert set(left[-1].values()) == {1}
    assert any(found[24] == 2 and found[4] == 1 for found in left)


def test_then_tokens_down_to_the_least_the_same_for_all():
    found = plan(budget=60)
    assert set(seeds(found).values()) == {1}
    assert found.seconds <= 60
    assert LADDER.least_tokens <= found.tokens < LADDER.enough_tokens


def test_what_dropped_repeats_leave_free_goes_to_tokens():
    for budget in range(60, 200, 7):
        found = plan(budget=budget)
        spare = found.budget - found.seconds
        one_more_step = 0.04 * found.training_seconds + 1
        assert found.tokens == LADDER.tokens or spare < one_more_step


BRANCHED = replace(
    LADDER,
    divisors=(8, 4, 2, 1),
    rates=(0.5, 2.0),
    tokens=4_096_000,
    enough_tokens=2_048_000,
)


def test_a_trunk_with_four_branches_costs_1_175_times_the_longest():
    found = plan(budget=1e6, ladder=BRANCHED, tokens=4_096_000, validation_batches=0)
    one = {run.width: run for run in found.runs if run.rate == 1}
    assert one[4].lengths == (512_000, 1_024_000, 2_048_000, 4_096_000)
    alone = SLOWER * 4_000 * STEP_SECONDS[4]
    assert one[4].seconds - 4 * STARTING == pytest.approx(1.175 * alone)
    assert one[24].lengths == (4_096_000,)
    checks = [run for run in found.runs if run.rate != 1]
    assert {(run.width, run.rate) for run in checks} == {
        (4, 0.5),
        (4, 2.0),
        (16, 0.5),
        (16, 2.0),
    }
    assert {run.lengths for run in checks} == {(1_024_000,)}
    assert len({run.name for run in found.runs}) == len(found.runs)


def test_branches_below_the_least_tokens_are_left_out_and_said():
    found = plan(budget=1e6, ladder=BRANCHED, tokens=1_024_000)
    assert found.lengths == (256_000, 512_000, 1_024_000)
    assert any("3 lengths instead of 4" in warning for warning in found.warnings)


def test_what_cannot_be_is_planned_at_its_shortest_and_said():
    found = plan(budget=90, slower=20)
    assert set(seeds(found)) == set(STEP_SECONDS)
    assert found.tokens == LADDER.least_tokens
    assert found.seconds > 90
    assert found.warnings[-1].startswith(
        f"about {found.seconds:.0f} seconds are planned, more than the budget of 90"
    )


def test_a_plan_beyond_the_budget_says_so_before_it_begins(capsys):
    for budget, told in ((90, "in all, longer than the budget of 1:30"), (1e6, "all")):
        Reporter().plan(plan(budget, slower=20), Path("plan.json"))
        assert f"{told} (plan.json)" in capsys.readouterr().err


@given(slower=st.floats(0.05, 50), workers=st.integers(1, 5))
def test_every_size_is_trained_and_what_is_left_out_is_said(slower, workers):
    found = plan(budget=120, slower=slower, workers=workers)
    assert set(seeds(found)) == set(STEP_SECONDS)
    assert found.tokens >= LADDER.enough_tokens or set(seeds(found).values()) == {1}
    assert found.seconds <= 120 or found.tokens == LADDER.least_tokens
    complete = found.tokens == LADDER.tokens and len(found.runs) == 11
    assert (len(found.warnings) > 1) != complete


@given(st.lists(st.floats(0, 100), max_size=12), st.integers(1, 4))
def test_a_makespan_lies_between_its_bounds(seconds, workers):
    end = makespan(seconds, workers)
    assert end >= max(seconds, default=0)
    assert end >= sum(seconds) / workers - 1e-9
    assert end <= sum(seconds) / workers + max(seconds, default=0) + 1e-9


def test_a_makespan_counts_what_runs_side_by_side():
    assert makespan([5, 4, 3, 3], 1) == 15
    assert makespan([5, 4, 3, 3], 2) == 8
    assert makespan([5, 4, 3, 3], 9) == 5


def test_a_plan_comes_back_from_its_file(tmp_path):
    written = plan(budget=90)
    written.write(tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == written


def test_plan_json_says_what_will_happen(tmp_path):
    written = plan(budget=90)
    written.write(tmp_path / "plan.json")
    record = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    assert record["tokens"] == written.tokens
    assert [size["width"] for size in record["sizes"]] == list(STEP_SECONDS)
    assert all(size["lr"] > 0 and size["heads"] > 0 for size in record["sizes"])
    assert record["runs"][0]["name"] == "24-s5"
    total = sum(run["seconds"] for run in record["runs"])
    predicted = record["predicted_seconds"]
    assert total / 2 <= predicted["training"] < predicted["total"] <= 90
    assert record["warnings"] == list(written.warnings)


def test_a_plan_keeps_the_learning_rates_of_its_record(tmp_path):
    """Also where the rule for them has changed since it was made."""
    path = tmp_path / "plan.json"
    written = plan(budget=90)
    written.write(path)
    record = json.loads(path.read_text(encoding="utf-8"))
    for size in record["sizes"]:
        size["lr"] *= 2
    path.write_text(json.dumps(record), encoding="utf-8")
    found = read_plan(path)
    for width in STEP_SECONDS:
        assert found.config(width).lr == 2 * written.config(width).lr
    assert found.config(8, rate=0.5).lr == written.config(8).lr
    found.write(path)
    assert json.loads(path.read_text(encoding="utf-8")) == record
    path.write_text(json.dumps({**record, "rate_factor": 5}), encoding="utf-8")
    assert read_plan(path) == found


def test_other_parts_learn_at_the_rates_of_the_plan():
    post = plan(budget=90, objective="mlm", arch="bert")
    rates = {width: post.config(width).lr for width in STEP_SECONDS}
    pre = replace(post, ladder=replace(LADDER, model={"norm": "pre"}))
    assert pre.config(8).lr == 2 * rates[8]
    kept = with_rates(pre, rates)
    assert {width: kept.config(width).lr for width in STEP_SECONDS} == rates
    assert kept.config(8).norm == "pre"


def test_learning_rates_that_fall_in_another_way_are_refused(tmp_path):
    path = tmp_path / "plan.json"
    plan(budget=90).write(path)
    record = json.loads(path.read_text(encoding="utf-8"))
    record["sizes"][0]["lr"] *= 2
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(DataError, match="do not fall with width"):
        read_plan(path)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"ladder": {"name": 1}}'])
def test_a_damaged_plan_is_refused(tmp_path, text):
    path = tmp_path / "plan.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"plan\.json"):
        read_plan(path)
