"""The 95 % intervals: that they hold the truth as often as they say."""

import numpy as np
import pytest

from minillm.laws import fit

SIZES = np.array([9216, 20736, 36864, 82944, 147456, 331776])
E, ALPHA = 1.12, 0.43
EXACT = E + 0.657 * (SIZES / 9216) ** -ALPHA
BEYOND = 2.25 * SIZES[-1]


def series(noise, seed):
    wobble = np.random.default_rng(seed).standard_normal(len(SIZES))
    return {"N": SIZES, "loss": EXACT * (1 + noise * wobble)}


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "widest"), [(0.001, 0.08), (0.003, 0.25)])
def test_intervals_of_six_points_hold_the_truth(noise, widest):
    """19 of 20 should: 26 of 30 leaves room for luck, and 7 of 10 would be 21."""
    truths = [ALPHA, E, E + 0.657 * (BEYOND / 9216) ** -ALPHA]
    held = np.zeros(3, int)
    widths = []
    for seed in range(30):
        fitted = fit(series(noise, seed), bootstrap=100)
        low, high = np.transpose(
            [fitted.interval95["alpha"], fitted.interval95["E"], fitted.band(BEYOND)]
        )
        held += (low <= truths) & (truths <= high)
        widths.append(high[0] - low[0])
    assert held.min() >= 26
    # 6.4 standard errors of alpha (Student, three degrees of freedom), and some more.
    assert np.median(widths) < widest


def test_standard_errors_of_few_points_are_those_of_linear_theory():
    """Σ = (JᵀJ)⁻¹ for residuals of ln y with noise 1, by E, ln A and alpha."""
    power = EXACT - E
    slopes = np.stack([np.ones(6), power, -power * np.log(SIZES / 9216)]) / EXACT
    expected = 0.001 * np.sqrt(np.linalg.inv(slopes @ slopes.T)[2, 2])
    found = [
        fit(
            {**series(0.001, seed), "sigma": EXACT},
            loss="lsq",
            sigma="sigma",
            bootstrap=50,
        ).standard_errors["alpha"]
        for seed in range(15)
    ]
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(expected, rel=0.3)


def test_thirty_points_or_more_are_resampled_by_rows():
    """One row far off is no noise of the others, where the loss is no square."""
    sizes = np.geomspace(1e4, 1e6, 40)
    rng = np.random.default_rng(3)
    y = 1.1 + 40 * sizes**-0.45 * (1 + 0.001 * rng.standard_normal(40))
    y[20] *= 1.3
    many = fit({"N": sizes, "loss": y}, bootstrap=200)
    low, high = many.interval95["alpha"]
    assert low < 0.45 < high
    assert high - low < 0.02
    few = slice(8, 37)
    fewer = {"N": sizes[few], "loss": y[few]}
    low, high = fit(fewer, bootstrap=200).interval95["alpha"]
    assert low < 0.45 < high
    assert high - low < 0.02
    low, high = fit(fewer, loss="lsq", bootstrap=200).interval95["alpha"]
    assert high - low > 0.1


def test_without_noise_the_interval_closes():
    fitted = fit({"N": SIZES, "loss": EXACT})
    low, high = fitted.interval95["alpha"]
    assert low == pytest.approx(ALPHA, abs=1e-9)
    assert high == pytest.approx(ALPHA, abs=1e-9)
    assert fitted.standard_errors == {}
