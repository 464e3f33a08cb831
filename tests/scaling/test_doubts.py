"""Warnings: each where it belongs, and none about a good series."""

import numpy as np
import pytest

from minillm.scaling import fit

SIZES = np.geomspace(1e4, 1e6, 8)
GOOD = 1.12 + 33 * SIZES**-0.43
BENT_UP = np.append(GOOD[:-1], 1.15 * GOOD[-2])


def warnings_of(y=GOOD, x="N", y_name="loss", sizes=SIZES, **columns):
    return fit({"N": sizes, y_name: y, **columns}, x, y_name).warnings


def test_a_good_series_gives_none():
    rng = np.random.default_rng(0)
    assert warnings_of(GOOD * (1 + 0.001 * rng.standard_normal(8))) == []


@pytest.mark.parametrize(
    ("words", "columns"),
    [
        ("N spans a factor of 5", {"sizes": np.geomspace(1e4, 5e4, 8)}),
        ("rises from 1.235 to 1.42", {"y": BENT_UP}),
        ("over 3 %", {"y": BENT_UP}),
        ("left out, is predicted", {"y": BENT_UP}),
        ("L∞", {"D": np.full(8, 4e6)}),
        ("fit both variables (--x N --x D)", {"D": np.geomspace(1e6, 1e7, 8)}),
        ("batch changes from 8 to 16", {"batch": [8] * 4 + [16] * 4}),
        ("is not distinguishable from 0", {"y": 20 * SIZES**-0.1}),
        ("show no power law", {"y": np.full(8, 2.0)}),
        ("show no power law", {"y": 2 + 0.1 * np.sin(np.arange(8) ** 2)}),
    ],
)
def test_what_is_wrong_is_said(words, columns):
    assert any(words in warning for warning in warnings_of(**columns))


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
