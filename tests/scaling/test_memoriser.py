"""The memoriser: a model whose losses can be worked out by hand."""

import numpy as np
import pytest

from minillm.studies.memoriser import memoriser_loss, memoriser_series, slope
from minillm.text.synthetic.facts import Facts
from minillm.text.synthetic.rng import WHOLE

FACTS = Facts(a=1.0, keys=1_000, values=20)


def loss_of(*known: int) -> float:
    unknown = 1 - FACTS.law[list(known)].sum() / WHOLE
    return FACTS.entropy_per_record + np.log(20) * unknown


def test_a_table_knows_what_it_met_most_often():
    drawn = np.array([5, 0, 5, 7, 5, 7, 0])
    assert memoriser_loss(FACTS, drawn, 1) == pytest.approx(loss_of(5))
    assert memoriser_loss(FACTS, drawn, 3) == pytest.approx(loss_of(0, 5, 7))
    assert memoriser_loss(FACTS, drawn, 999) == pytest.approx(loss_of(0, 5, 7))
    assert memoriser_loss(FACTS, drawn[:0], 3) == pytest.approx(loss_of())


def test_a_table_that_knows_all_loses_the_entropy():
    everything = np.arange(1_000)
    assert memoriser_loss(FACTS, everything, 1_000) == FACTS.entropy_per_record


def test_a_series_is_near_the_exact_sums():
    records = np.array([100, 1_000, 10_000])
    rooms = np.array([10, 30, 1_000])
    losses = memoriser_series(FACTS, rooms, records, samples=20)
    assert losses.shape == (3, 3)
    assert (np.diff(losses, axis=0) <= 0).all()
    assert (np.diff(losses, axis=1) < 0).all()
    excess = losses - FACTS.entropy_per_record
    assert excess[2] == pytest.approx([FACTS.excess(n) for n in records], rel=0.05)
    ideal = [FACTS.excess(1e9, known=room) for room in rooms[:2]]
    assert excess[:2, 2] == pytest.approx(ideal, rel=0.05)


def test_the_exact_sums_fall_as_the_theory_says():
    """α_D = a/(1 + a) and α_N = a, where the keys do not run out."""
    for a in (0.5, 1.0):
        facts = Facts(a=a, keys=1_000_000)
        records = np.geomspace(1e3, 1e5, 9)
        exponent = slope(records, [facts.excess(n) for n in records])
        assert exponent == pytest.approx(a / (1 + a), abs=0.01)
        rooms = np.geomspace(30, 300, 9).astype(int)
        exponent = slope(rooms, [facts.excess(np.inf, room) for room in rooms])
        assert exponent == pytest.approx(a, abs=0.01)
