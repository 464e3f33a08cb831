"""The shapes of the learning rate."""

import re

import numpy as np
import pytest

from minillm.errors import UsageError
from minillm.learning.config import TrainConfig
from minillm.learning.schedule import learning_rate
from minillm.runs.warnings import odd_warmup


def rates(schedule: str, **options) -> np.ndarray:
    settings = {"steps": 1000, "warmup": 100, "lr": 0.01, **options}
    config = TrainConfig(schedule=schedule, **settings).resolve()
    return np.array([learning_rate(config, step) for step in range(config.steps)])


@pytest.mark.parametrize("schedule", ["cosine", "wsd", "constant"])
def test_warm_up_is_a_straight_line_to_the_peak(schedule):
    lr = rates(schedule)
    np.testing.assert_allclose(lr[:100], 0.01 * np.arange(1, 101) / 100)
    assert lr.max() == pytest.approx(0.01)
    assert lr.min() > 0


def test_cosine_falls_to_min_lr_by_half_at_half_way():
    lr = rates("cosine", min_lr=0.002)
    assert (np.diff(lr[100:]) <= 0).all()
    assert lr[550] == pytest.approx(0.006)  # the middle of the fall
    assert lr[-1] == pytest.approx(0.002, rel=1e-4)
    np.testing.assert_allclose(lr[100:] + lr[100:][::-1], 0.012, rtol=1e-2)


def test_wsd_stays_and_then_falls_in_a_straight_line_to_zero():
    lr = rates("wsd")
    np.testing.assert_allclose(lr[100:801], 0.01)
    np.testing.assert_allclose(lr[800:], 0.01 * np.arange(200, 0, -1) / 200)


def test_wsd_falls_to_min_lr_where_it_is_given():
    lr = rates("wsd", min_lr=0.002)
    np.testing.assert_allclose(lr[800:], 0.002 + 0.008 * np.arange(200, 0, -1) / 200)


def test_a_constant_rate_takes_no_last_one():
    with pytest.raises(UsageError, match="never falls"):
        rates("constant", min_lr=0.002)


def test_a_run_of_constant_rate_repeats_at_another():
    config = TrainConfig(schedule="constant", lr=0.01).resolve()
    again = TrainConfig.from_json({**config.to_json(), "lr": 0.02}).resolve()
    assert learning_rate(again, again.steps - 1) == 0.02


def test_constant_stays():
    np.testing.assert_allclose(rates("constant")[100:], 0.01)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"warmup": 100}, r"warmup=100: .*run of 10 steps.*to 0\.001 of 0\.01$"),
        ({"warmup": 10}, r"warmup=10: .*only rises, to 0\.01 of 0\.01$"),
        ({"warmup": 9}, None),
        ({"warmup": 9, "schedule": "wsd"}, "cooldown begins after step 8"),
        ({"warmup": 8, "schedule": "wsd"}, None),
        ({"warmup": 100, "schedule": "constant"}, "only rises"),
        ({"warmup": 1, "steps": 1}, None),
        ({}, None),
    ],
)
def test_a_warmup_without_end_is_told(options, told):
    options = {"size": "pico", "lr": 0.01, "steps": 10, "schedule": "cosine", **options}
    found = odd_warmup(TrainConfig(**options).resolve())
    assert found is None if told is None else re.search(told, found)


@pytest.mark.parametrize("schedule", ["cosine", "wsd", "constant"])
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 1), (2, 5), (3, 3)])
def test_a_very_short_run_has_a_rate_at_every_step(schedule, steps, warmup):
    lr = rates(schedule, steps=steps, warmup=warmup)
    assert ((lr > 0) & (lr <= 0.01)).all()


def test_no_warm_up_begins_at_the_peak():
    assert rates("cosine", warmup=0)[0] == 0.01
