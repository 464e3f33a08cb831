"""Rows of one size at several learning rates: said, and the best of them taken."""

import numpy as np
import pytest

from minillm.laws import fit, fit_isoflop

SIZES = np.geomspace(1e4, 1e6, 6)
RATES = (1e-4, 3e-4, 1e-3)


def sweep(seeds=1, name="lr") -> dict:
    """Every size at three rates: the middle one is right, by 0 %, the others by 5 and
    8 %; with seeds, a wrong rate is lucky once."""
    shape = (len(SIZES), len(RATES), seeds)
    N = np.broadcast_to(SIZES[:, None, None], shape)
    worse = np.broadcast_to(np.array([1.05, 1.0, 1.08])[:, None], shape).copy()
    worse[2, 0, 0] -= 0.08 if seeds > 2 else 0
    rate = np.broadcast_to(np.array(RATES)[:, None], shape)
    columns = {"N": N, name: rate, "loss": (1.1 + 40 * N**-0.45) * worse}
    return {name: column.ravel() for name, column in columns.items()}


@pytest.mark.parametrize(
    "name", ["lr", "Learning_Rate", "LearningRate", "max lr", "rate", "学习率"]
)
def test_a_sweep_is_said(name):
    law = fit(sweep(name=name), bootstrap=20)
    assert any(
        f"18 rows share their N with a row of another {name}" in text
        and "add best=True" in text
        for text in law.warnings
    )


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("loss", ["huber", "lsq"])
def test_the_best_rate_of_each_size_is_fitted(seeds, loss):
    law = fit(sweep(seeds), loss=loss, best=True, bootstrap=20)
    assert law.parameters == pytest.approx({"E": 1.1, "A": 40, "alpha": 0.45})
    assert law.n == 6 * seeds
    rows = {each["row"] for each in law.excluded}
    assert len(rows) == 12 * seeds and not rows & set(law.rows)
    assert {each["reason"] for each in law.excluded} == {"not the best loss of its N"}
    assert not any("best=True" in text for text in law.warnings)


@pytest.mark.slow
def test_the_best_of_two_sizes_and_of_nearly_equal_ones():
    N, D = map(np.ravel, np.meshgrid([1e6, 1e7, 1e8, 1e9], [1e8, 1e9, 1e10, 1e11]))
    exact = 1.8 + 480 * N**-0.35 + 2100 * D**-0.37
    columns = {
        "N": np.tile(N, 2),
        "D": np.concatenate([D, 1.004 * D]),
        "lr": np.repeat([1e-3, 3e-3], 16),
        "loss": np.concatenate([exact, 1.1 * exact]),
    }
    law = fit(columns, ("N", "D"), best=True, bootstrap=20)
    assert law.parameters["beta"] == pytest.approx(0.37, rel=1e-6)
    assert law.excluded[0]["reason"] == "not the best loss of its N and D"
    found = fit(columns, ("N", "D"), bootstrap=20).warnings
    assert any("32 rows share their N and D" in text for text in found)


def test_of_an_accuracy_the_best_is_the_largest():
    columns = sweep()
    columns["val acc"] = 0.9 - 0.5 * columns.pop("loss") / 2
    law = fit(columns, y="val acc", ceiling=True, best=True, bootstrap=20)
    assert law.parameters["alpha"] == pytest.approx(0.45)
    reason = "not the best val acc (the highest) of its N"
    assert law.excluded[0]["reason"] == reason
    least = {"N": columns["N"], "accumulated loss": sweep()["loss"]}
    law = fit(least, y="accumulated loss", best=True, bootstrap=20)
    assert law.parameters["alpha"] == pytest.approx(0.45)


def test_what_is_no_sweep_is_not_said():
    by_size = {"N": SIZES, "loss": 1.1 + 40 * SIZES**-0.45, "lr": SIZES**-0.5}
    seeds = {name: np.repeat(column, 2) for name, column in by_size.items()}
    other = {"success_rate": sweep()["lr"], "lr": np.full(18, 1e-3)}
    for columns in (by_size, seeds, sweep() | other):
        assert not any(
            "best=True" in text for text in fit(columns, bootstrap=20).warnings
        )


def test_budgets_may_be_swept_too():
    C = np.repeat([1e18, 1e19, 1e20], 5)
    N = 0.1 * C**0.5 * np.tile(10 ** np.linspace(-0.8, 0.8, 5), 3)
    loss = 3 * C**-0.01 + 0.2 * np.log10(N / (0.1 * C**0.5)) ** 2
    rate = np.where(np.arange(15) % 2, 1e-3, 1e-4)
    columns = {
        "N": np.tile(N, 2),
        "D": np.tile(C / 6 / N, 2),
        "lr": np.concatenate([rate, 3 * rate]),
        "loss": np.concatenate([loss, loss * (1 + 0.02 * rate / 1e-3)]),
    }
    assert any("best=True" in text for text in fit_isoflop(columns).warnings)
    found = fit_isoflop(columns, best=True)
    assert found.laws["N_opt"]["n"] == pytest.approx(0.5)
    assert len(found.excluded) == 15
