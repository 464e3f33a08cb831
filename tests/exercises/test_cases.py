"""The search for the smallest case that fails."""

import numpy as np
import pytest

from minillm.exercises import looking
from minillm.exercises.cases import THOROUGH, Cases, Search, smallest_failure
from minillm.exercises.exercise import Failure


def pair(c: Cases) -> dict:
    return {"n": c.integer(0, 100), "x": c.numbers(c.shape(min_dims=1))}


def search(run, inputs=pair, seed=0):
    return smallest_failure(run, inputs, seed=seed, examples=30)


def test_nothing_is_found_where_all_holds():
    assert search(lambda case: None) is None


def test_the_smallest_case_is_found():
    def run(case):
        return Failure("value", "too large") if case["n"] >= 17 else None

    for seed in range(3):
        _, case = search(run, seed=seed)
        assert case["n"] == 17
        assert case["x"].size == 1


def test_the_kind_that_names_the_mistake_is_followed_to_its_smallest_case():
    def run(case):
        if case["x"].size > 1:
            return Failure("sign", "a sign")
        return Failure("value", "some number")

    failure, case = search(run)
    assert failure.kind == "sign"
    assert case["x"].size == 2


def test_a_seed_gives_its_own_cases_each_time():
    def seen(seed):
        cases = []
        search(lambda case: cases.append((case["n"], case["x"].tolist())), seed=seed)
        return cases

    assert seen(1) == seen(1) != seen(2)
    assert len(seen(1)) == 30


def test_each_try_gets_its_own_arrays():
    def run(case):
        assert np.abs(case["x"]).max() < 50
        case["x"] += 100
        return Failure("write", "writes")

    assert np.abs(search(run)[1]["x"]).max() < 50


@pytest.mark.parametrize("when", ["inputs", "run"])
def test_a_mistake_of_the_sheet_is_no_pass(when):
    """Hypothesis would call it flaky where it comes once only."""
    tries = []

    def once(where):
        tries.append(where)
        if tries.count(when) == 3 and where == when:
            raise ZeroDivisionError("mine")

    def inputs(c):
        once("inputs")
        return pair(c)

    with pytest.raises(ZeroDivisionError, match="mine"):
        search(lambda case: once("run"), inputs)


@pytest.mark.parametrize(
    ("kind", "search", "times"),
    [
        ("value", Search(failures=3, steps=0), 3),
        ("value", Search(failures=3, steps=5), 8),
        ("unsolved", THOROUGH, 1),
    ],
)
def test_a_search_ends_where_enough_is_known(kind, search, times):
    tries = []

    def run(case):
        tries.append(case)
        return Failure(kind, "always") if case["n"] >= 3 else None

    failure, _ = smallest_failure(run, pair, seed=0, examples=60, search=search)
    assert failure.kind == kind
    passed = sum(case["n"] < 3 for case in tries)
    assert len(tries) - passed <= times <= len(tries)


def test_two_arrays_of_one_case_differ():
    c = Cases(lambda low, high: low)
    assert not np.array_equal(c.numbers((3,)), c.numbers((3,)))


RIGHT = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, -9.0]])


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (None, "type"),
        ("text", "type"),
        ([[1, 2], [3]], "type"),
        (RIGHT[0], "shape"),
        (-RIGHT, "sign"),
        (RIGHT.T, "transposed"),
        (RIGHT / 3, "factor"),
        (RIGHT * 0, "zero"),
        (RIGHT + 1e-6, "value"),
        (RIGHT * np.nan, "not finite"),
        (RIGHT + 1, "order"),
    ],
)
def test_what_is_wrong_with_a_value_is_named(found, kind):
    instead = [("order", RIGHT + 1, "One too many.")]
    with pytest.raises(Failure) as caught:
        looking.equal(found, RIGHT, "y", instead=instead)
    assert caught.value.kind == kind


def test_a_right_value_passes():
    looking.equal(RIGHT + 1e-12, RIGHT, "y", instead=[("sign", RIGHT, "The same.")])
