"""Warnings: each where it belongs, and none about a good series."""

import numpy as np
import pytest

from minillm.errors import DataError, UsageError
from minillm.laws import fit

SIZES = np.geomspace(1e4, 1e6, 8)
GOOD = 1.12 + 33 * SIZES**-0.43
FELL = np.where(SIZES > 1e5, GOOD - 0.15, GOOD)
BENT_UP = np.append(GOOD[:-1], 1.15 * GOOD[-2])


# Seven neighbours, and one run far from them.
LONE = np.append(np.geomspace(1e4, 3e4, 7), 1e7)
LONE_LOSS = (1.12 + 33 * LONE**-0.43) * (1 + 0.002 * np.sin(np.arange(8) ** 2))


def warnings_of(y=GOOD, x="N", y_name="loss", sizes=SIZES, **columns):
    first = x if isinstance(x, str) else x[0]
    return fit({first: sizes, y_name: y, **columns}, x, y_name).warnings


def test_two_seeds_of_one_loss_are_no_copy():
    twice = {"sizes": np.repeat(SIZES, 2), "y": np.repeat(GOOD, 2)}
    told = warnings_of(**twice, seed=[0, 1] * 8)
    told += warnings_of(np.repeat(1 / GOOD, 2), "N", "accuracy", twice["sizes"])
    assert not [each for each in told if "same in every column" in each]


def test_few_resamples_are_told_and_one_is_refused():
    columns = {"N": SIZES, "loss": GOOD}
    told = fit(columns, bootstrap=5).warnings
    assert "intervals from 5 resamples are too narrow: take 1000" in told[0]
    for wrong in ({"bootstrap": 1}, {"bootstrap": 2.5}, {"fix": "E=1"}, {"seed": 0.5}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            fit(columns, **wrong)
    for empty in ({}, {"N": [], "loss": []}):
        with pytest.raises(DataError, match="has no rows"):
            fit(empty)


def test_a_good_series_gives_none():
    rng = np.random.default_rng(0)
    assert warnings_of(GOOD * (1 + 0.001 * rng.standard_normal(8))) == []


@pytest.mark.parametrize(
    ("words", "columns"),
    [
        ("N spans a factor of 5", {"sizes": np.geomspace(1e4, 5e4, 8)}),
        ("rises from 1.235 to 1.42", {"y": BENT_UP}),
        ("over 3 %", {"y": BENT_UP}),
        ("all but the largest run of this fit", {"y": BENT_UP}),
        ("L∞", {"D": np.full(8, 4e6)}),
        ("fit both variables (x=('N', 'D'))", {"D": np.geomspace(1e6, 1e7, 8)}),
        ("batch changes from 8 to 16", {"batch": [8] * 4 + [16] * 4}),
        ("batch changes from 0.5M to 1M", {"batch": ["0.5M"] * 4 + ["1M"] * 4}),
        ("epochs changes from 1 to 4", {"epochs": [1, 1, 1, 2, 2, 2, 4, 4]}),
        ("transition", {"y": FELL}),
        ("an exponential", {"y": 1.1 + 2 * np.exp(-SIZES / 1e5)}),
        ("one point decides alpha: without row 8", {"sizes": LONE, "y": LONE_LOSS}),
        ("is not distinguishable from 0", {"y": 20 * SIZES**-0.1}),
        ("show no power law", {"y": np.full(8, 2.0)}),
        ("loss is 2 in every row", {"y": np.full(8, 2.0)}),
        (
            "row 1 and row 2 are the same in every column, and 7 more such rows",
            {"sizes": np.repeat(SIZES, 2), "y": np.repeat(GOOD, 2)},
        ),
        ("show no power law", {"y": 2 + 0.1 * np.sin(np.arange(8) ** 2)}),
    ],
)
def test_what_is_wrong_is_said(words, columns):
    assert any(words in warning for warning in warnings_of(**columns))


@pytest.mark.parametrize(
    ("words", "columns"),
    [
        ("batch", {"batch": [8] * 8}),
        # Steps × batch come near to the same tokens.
        ("changes", {"D": 4e6 * (1 + 1e-3 * np.arange(8))}),
        ("epochs", {"epochs": np.geomspace(0.01, 1, 8)}),
        ("transition", {"y": np.insert(np.delete(GOOD, 3), 3, 1.4 * GOOD[3])}),
        ("fit both", {"D": 20 * SIZES, "sizes": 1e13 * SIZES, "x": "C"}),
    ],
)
def test_what_is_in_order_is_not_said(words, columns):
    assert not any(words in warning for warning in warnings_of(**columns))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "noise"), [(6, 0.001), (6, 0.003), (12, 0.003)])
def test_a_good_series_is_seldom_doubted(n, noise):
    sizes = np.geomspace(1e4, 1e6, n)
    exact = 1.12 + 33 * sizes**-0.43
    doubted = 0
    for seed in range(10):
        wobble = np.random.default_rng(seed).standard_normal(n)
        y = exact * (1 + noise * wobble)
        doubted += bool(fit({"N": sizes, "loss": y}, bootstrap=50).warnings)
    assert doubted <= 2


def test_one_size_and_many_tokens_have_a_floor_of_that_size():
    found = warnings_of(sizes=1e3 * SIZES, x="D", N=np.full(8, 1e6))
    assert any("L∞(N) of a model of this size" in warning for warning in found)


def test_sizes_that_nearly_change_together():
    sizes = np.geomspace(1e6, 1e10, 8)
    tokens = sizes * 20 * np.exp(0.2 * np.sin(np.arange(8) ** 2))
    loss = 1.8 + 480 * sizes**-0.35 + 2100 * tokens**-0.37
    found = warnings_of(loss, ("N", "D"), sizes=sizes, D=tokens)
    assert any("N and D change together" in warning for warning in found)


def test_only_a_loss_should_fall():
    growing = warnings_of(1 + 1e-4 * SIZES, y_name="seconds")
    assert not any("rises" in warning for warning in growing)


def test_neighbours_of_one_size_may_differ_by_their_seeds():
    sizes = np.repeat(SIZES, 2) * np.tile([1, 1.05], 8)
    y = (1.12 + 33 * sizes**-0.43) * np.tile([0.99, 1.01], 8)
    found = warnings_of(y, sizes=sizes)
    assert not any("rises" in warning for warning in found)


def test_the_floor_in_a_sentence():
    clear = fit({"N": SIZES, "loss": GOOD})
    assert clear.floor_verdict.startswith("the floor E is distinguishable from 0")
    assert "below the pure power law's" in clear.floor_verdict


def two_sizes(together: float, noise=0.001):
    N, D = (
        a.ravel()
        for a in np.meshgrid(np.geomspace(1e4, 4e5, 6), 1e6 * 2.0 ** np.arange(4))
    )
    y = 1.0 + 30 * N**-0.5 + 400 * D**-0.5
    wobble = noise * np.random.default_rng(1).standard_normal(len(y))
    y = y * np.exp(together * np.log(N / 1e5) * np.log(D / 3e6) + wobble)
    return fit({"N": N, "D": D, "loss": y}, ("N", "D"), "loss").warnings


@pytest.mark.slow
def test_sizes_that_change_what_the_other_does_are_no_sum():
    assert any("what D gains depends on N" in text for text in two_sizes(0.01))
    assert not any("depends on N" in text for text in two_sizes(0.0))
