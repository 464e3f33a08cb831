"""Sampling, against its definitions on known distributions."""

import numpy as np
import pytest

from minillm.errors import UsageError
from minillm.generation import Sampling
from minillm.generation.sampling import penalise_repetition

# The tokens 0 to 4, and 5 which cannot occur.
P = np.array([0.2, 0.05, 0.4, 0.1, 0.25, 0])
with np.errstate(divide="ignore"):
    LOGITS = np.log(P) + 7  # a constant changes nothing


def renormalised(kept) -> np.ndarray:
    p = np.where(np.isin(np.arange(len(P)), kept), P, 0)
    return p / p.sum()


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"top_k": 1}, [2]),
        ({"top_k": 3}, [0, 2, 4]),
        ({"top_k": 99}, [0, 1, 2, 3, 4]),
        ({"top_p": 0.001}, [2]),
        ({"top_p": 0.39}, [2]),
        ({"top_p": 0.41}, [2, 4]),
        ({"top_p": 0.64}, [2, 4]),
        ({"top_p": 0.66}, [0, 2, 4]),
        ({"top_p": 0.86}, [0, 2, 3, 4]),
        ({"top_p": 1.0}, [0, 1, 2, 3, 4]),
        ({"min_p": 0.0}, [0, 1, 2, 3, 4]),
        ({"min_p": 0.24}, [0, 2, 3, 4]),
        ({"min_p": 0.26}, [0, 2, 4]),
        ({"min_p": 0.6}, [2, 4]),
        ({"min_p": 1.0}, [2]),
        # of the three likeliest, 0.4 is 47 %, with 0.25 it is 76 %
        ({"top_k": 3, "top_p": 0.7}, [2, 4]),
        ({"top_k": 3, "top_p": 0.8}, [0, 2, 4]),
        ({"top_p": 0.86, "min_p": 0.26}, [0, 2, 4]),
    ],
)
def test_filters_keep_what_their_definitions_say(settings, kept):
    sampling = Sampling(**settings)
    p = sampling.probabilities(LOGITS)
    np.testing.assert_allclose(p, renormalised(kept), rtol=1e-12)
    rng = np.random.default_rng(0)
    counts = np.bincount(
        [sampling.draw(LOGITS, (), rng) for _ in range(3_000)], minlength=len(P)
    )
    assert (counts[p == 0] == 0).all()
    expected = 3_000 * p[p > 0]
    # P(χ² with 4 degrees of freedom > 20) = 0.0005
    assert ((counts[p > 0] - expected) ** 2 / expected).sum() < 20


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_raises_probabilities_to_a_power(temperature):
    expected = P ** (1 / temperature)
    p = Sampling(temperature).probabilities(LOGITS)
    np.testing.assert_allclose(p, expected / expected.sum(), rtol=1e-12)


def test_temperature_acts_before_the_nucleus():
    # The square roots of P sum to 2.14: the two likeliest have 53 %, not 65 %.
    hot = Sampling(2.0, top_p=0.6).probabilities(LOGITS)
    assert np.flatnonzero(hot).tolist() == [0, 2, 4]


def test_a_temperature_of_zero_takes_the_likeliest_after_the_penalty():
    rng = np.random.default_rng(0)
    logits = np.array([2.0, 3.0, -1.0], np.float32)
    assert Sampling(0).draw(logits, [1], rng) == 1
    assert Sampling(0, repetition_penalty=2.0).draw(logits, [1], rng) == 0


def test_the_penalty_divides_what_is_positive_and_multiplies_what_is_negative():
    logits = np.array([2.0, -2.0, 0.0, 4.0])
    new = penalise_repetition(logits, [0, 1, 2, 0, 1], 1.5)
    np.testing.assert_allclose(new, [2 / 1.5, -3.0, 0, 4])
    assert logits[0] == 2.0
    assert penalise_repetition(logits, [0], 1.0) is logits


def test_equals_of_the_last_of_the_top_k_stay():
    p = Sampling(top_k=2).probabilities(np.array([1.0, 3.0, 1.0, 0.0]))
    assert (p > 0).tolist() == [True, True, True, False]


def test_extreme_temperatures_and_logits_are_harmless():
    logits = np.array([-1e30, 3.0, 2.9999, -np.inf], np.float32)
    for temperature in (0, 1e-300):
        assert Sampling(temperature).draw(logits, (), np.random.default_rng(0)) == 1
    flat = Sampling(1e300).probabilities(np.array([5.0, -5.0, 0.0]))
    np.testing.assert_allclose(flat, 1 / 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top_p", 0),
        ("top_p", 1.1),
        ("top_p", float("nan")),
        ("min_p", -0.1),
        ("min_p", 2),
        ("repetition_penalty", 0),
        ("repetition_penalty", float("inf")),
    ],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(UsageError, match=f"{name} must be"):
        Sampling(**{name: value})
