"""The calibration: it passes here, and fails where the laboratory would be wrong."""

import math
from types import SimpleNamespace

import pytest

from minillm.errors import UsageError
from minillm.studies import calibration
from minillm.studies.calibration import (
    Check,
    branched_checks,
    calibrate,
    coverage_checks,
    likely_counts,
    memoriser_checks,
    recovery_checks,
)


@pytest.fixture
def bend_fit(monkeypatch):
    """A function that makes `fit` return other numbers."""
    true_fit = calibration.fit

    def bend(parameters=lambda p: p, interval=lambda ends: ends):
        def bent(*args, **kwargs):
            law = true_fit(*args, **kwargs)
            return SimpleNamespace(
                parameters=parameters(dict(law.parameters)),
                interval95={k: interval(v) for k, v in law.interval95.items()},
            )

        monkeypatch.setattr(calibration, "fit", bent)

    return bend


@pytest.mark.slow
def test_the_memoriser_is_measured_right():
    checks = list(memoriser_checks())
    assert len(checks) == 4
    assert [check.name for check in checks if not check.ok] == []
    assert {check.limit for check in checks} == {0.02, 0.005}


def test_laws_without_noise_come_back():
    one, two = recovery_checks()
    assert one.ok and two.ok
    assert one.limit == two.limit == 1e-6
    assert "beta" in two.detail


@pytest.mark.slow
def test_intervals_hold_the_truth():
    e, alpha = coverage_checks(0.003, 20)
    assert e.ok and alpha.ok
    assert "of 20 hold the truth" in e.detail
    assert min(abs(e.limit - limit) for limit in (0.05, 0.2)) < 1e-9


@pytest.mark.parametrize("n", [10, 11, 20, 40, 200])
def test_a_sound_laboratory_seldom_fails(n):
    """The chance of every count, by tossing out all n at once: exact sums."""
    chance = [math.comb(n, k) * 0.95**k * 0.05 ** (n - k) for k in range(n + 1)]
    least, most = likely_counts(n)
    assert sum(chance[:least]) <= 1e-3 < sum(chance[: least + 1])
    assert sum(chance[most + 1 :]) <= 1e-3 < sum(chance[most:])


@pytest.mark.parametrize(("held", "ok"), [(10, True), (7, True), (5, False)])
def test_what_ten_series_may_show(held, ok):
    intervals = [{"E": (0, 2)}] * held + [{"E": (0, 0.5)}] * (10 - held)
    (check,) = calibration._coverage(intervals, {"E": 1.0}, "noise")
    assert check.ok == ok


@pytest.mark.slow
def test_intervals_of_branches_hold_the_truth_because_they_know_their_runs(
    monkeypatch,
):
    monkeypatch.setattr(calibration, "RESAMPLES", 100)
    alpha, beta = branched_checks(10)
    assert alpha.ok and beta.ok
    true_fit = calibration.fit

    def blind(*args, group, **kwargs):
        return true_fit(*args, **kwargs)

    monkeypatch.setattr(calibration, "fit", blind)
    assert not next(branched_checks(10)).ok


@pytest.mark.slow
def test_a_fit_that_is_a_little_off_is_found(bend_fit):
    bend_fit(lambda p: {**p, "E": p["E"] * (1 + 2e-6)})
    assert not any(check.ok for check in recovery_checks())
    bend_fit(lambda p: {**p, "E": p["E"] * 1.006, "alpha": p["alpha"] + 0.03})
    assert not any(check.ok for check in memoriser_checks())


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.2, math.nan])
def test_intervals_that_are_too_narrow_are_found(bend_fit, factor):
    def narrowed(ends):
        middle, half = sum(ends) / 2, (ends[1] - ends[0]) / 2
        return [middle - factor * half, middle + factor * half]

    bend_fit(interval=narrowed)
    assert not any(check.ok for check in coverage_checks(0.001, 10))


def test_no_number_is_no_pass():
    assert not Check("x", math.nan, 1.0, "").ok
    assert Check("x", 1.0, 1.0, "").to_json()["ok"]


def test_too_few_series_are_refused():
    with pytest.raises(UsageError, match="at least 10"):
        list(calibrate(series=9))
