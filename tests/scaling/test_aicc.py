"""The criterion is of the loss that was minimised: what it keeps, and what it finds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.laws import fit
from minillm.laws.aicc import _surprise, penalty

LOSSES = ["huber", "l1", "lsq"]
# The truth is E = 2, A = 60, alpha = 0.4 with a noise of 0.1 %; the first run is 20 %
# low.
FIRST_RUN_LOW = [
    *(2.8061, 3.1418, 2.8675, 2.6563, 2.4958, 2.3776),
    *(2.2885, 2.2185, 2.1625, 2.1216, 2.0929, 2.0715),
]
SIZES = 1e4 * 2.0 ** np.arange(12)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("size", [1e-6, 3e-4, 1e-3, 0.02, 5.0])
def test_the_density_of_a_loss_is_one_in_all(loss, size):
    """−ln(likelihood) by sums over a grid of r and a grid of s, for a mean of ρ."""

    def rho(r):
        near = np.minimum(r, {"huber": 1e-3, "l1": 0, "lsq": np.inf}[loss])
        return r if loss == "l1" else near * (r - near / 2)

    mean = float(rho(np.array(size)))
    r = np.concatenate([[0], np.geomspace(1e-5 * size, 1e3 * size, 20_000)])
    found = [
        math.log(2 * np.trapezoid(np.exp(-rho(r) / s), r)) + mean / s
        for s in np.geomspace(0.4 * mean, 2.5 * mean, 300)
    ]
    assert _surprise(mean, loss) == pytest.approx(min(found), abs=2e-4)


def test_of_squares_it_is_the_textbook_formula():
    y = (1.1 + 40 * SIZES**-0.45) * (1 + 0.003 * np.sin(SIZES))
    law = fit({"N": SIZES, "loss": y}, loss="lsq", bootstrap=20)
    square = np.mean((law.predict(SIZES) - y) ** 2)
    assert law.aicc == pytest.approx(12 * math.log(square) + 8 + 40 / 7)


@settings(max_examples=settings.default.max_examples // 3)
@given(
    loss=st.sampled_from(LOSSES),
    n=st.integers(6, 14),
    noise=st.sampled_from([0, 1e-4, 1e-3, 0.02, 0.5]),
    far=st.floats(-0.6, 2),
    seed=st.integers(0, 10**6),
)
def test_a_law_loses_no_more_than_it_pays_for_its_unknowns(loss, n, noise, far, seed):
    rng = np.random.default_rng(seed)
    sizes = np.geomspace(1e4, 10 ** rng.uniform(5, 9), n)
    y = rng.uniform(0, 3) + 60 * sizes ** -rng.uniform(-0.3, 0.8)
    y *= np.exp(noise * rng.standard_normal(n))
    y[rng.integers(n)] *= 1 + far
    law = fit({"N": sizes, "loss": y}, loss=loss, bootstrap=2)
    price = penalty(n, 3) - penalty(n, 2)
    assert law.models["power + floor"] - law.models["power"] <= price + 1e-6
    assert law.models["power"] == law.without_floor.aicc


@settings(max_examples=settings.default.max_examples // 10)
@given(
    loss=st.sampled_from(LOSSES),
    noise=st.sampled_from([1e-3, 0.05]),
    seed=st.integers(0, 10**6),
)
def test_neither_does_a_law_of_two_variables(loss, noise, seed):
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform([[4], [6]], [[7], [9]], (2, 14))
    y = rng.uniform(0, 3) + 60 * N**-0.4 + 300 * D ** -rng.uniform(0.2, 0.6)
    y *= np.exp(noise * rng.standard_t(1.5, 14))
    found = fit({"N": N, "D": D, "loss": y}, ("N", "D"), loss=loss, bootstrap=2).models
    for narrower, unknowns in {"power": 4, "tied power + floor": 4}.items():
        price = penalty(14, 5) - penalty(14, unknowns)
        assert found["power + floor"] - found[narrower] <= price + 1e-6


@pytest.mark.parametrize("loss", ["huber", "l1"])
def test_one_run_far_off_hides_no_floor(loss):
    law = fit({"N": SIZES, "loss": FIRST_RUN_LOW}, loss=loss)
    assert law.parameters["E"] == pytest.approx(2, abs=0.02)
    low, high = law.interval95["E"]
    assert 1.9 < low < 2 < high < 2.05
    assert law.floor_verdict.startswith("the floor E is distinguishable from 0")
    assert "below the pure power law's" in law.floor_verdict
    assert min(law.models, key=law.models.get) == "power + floor"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "noise", "loss"),
    [(8, 5e-4, "huber"), (12, 1e-3, "l1"), (12, 3e-3, "huber"), (20, 1e-2, "huber")],
)
def test_the_verdict_is_right_where_the_fit_is(n, noise, loss):
    """One run far off. Of 288 tables of 8 to 20 runs, noise 0.05 and 1 %, the floor is
    seen in 140 of the 141 that have one and whose fit has found it, and in none of the
    105 that have none; the criterion finds 133 of the 141: of 8 points it takes 9.3 for
    E. The intervals of E hold the truth in 95 %.
    """
    rng = np.random.default_rng(1)
    sizes = np.geomspace(1e4, 2e7, n)
    fits, seen, least, held = 0, 0, 0, 0
    for far in (-0.4, -0.2, -0.15, -0.1, 0.1, 0.15, 0.2, 0.4):
        for at in (0, n // 2, n - 1):
            y = (2 + 60 * sizes**-0.4) * np.exp(noise * rng.standard_normal(n))
            y[at] *= 1 + far
            law = fit({"N": sizes, "loss": y}, loss=loss, bootstrap=60)
            low, high = law.interval95["E"]
            held += low <= 2 <= high
            if abs(law.parameters["E"] - 2) < 0.2:
                fits += 1
                seen += law.floor_is_distinguishable
                least += law.aicc < law.without_floor.aicc
    assert fits >= 22
    assert seen >= fits - 1
    assert least >= fits - (6 if n == 8 else 1)
    assert held >= 20


def test_what_the_interval_and_the_criterion_say_apart_is_said():
    sizes = np.geomspace(1e4, 2e7, 8)
    wobble = np.random.default_rng(0).standard_normal(8)
    y = (2 + 60 * sizes**-0.4) * (1 + 0.0005 * wobble)
    y[3] *= 0.6
    law = fit({"N": sizes, "loss": y}, bootstrap=200)
    assert law.floor_is_distinguishable
    assert law.aicc > law.without_floor.aicc
    assert "although AICc, which takes 9.3 for E at 8 points, is" in law.floor_verdict
    assert "above the pure power law's" in law.floor_verdict
