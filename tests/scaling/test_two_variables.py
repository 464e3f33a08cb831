"""Laws of two variables: free and tied, and what two variables can leave open."""

import math

import numpy as np
import pytest

from minillm.errors import UsageError
from minillm.laws import fit
from minillm.laws.formula import Form
from minillm.laws.huber import Problem


@pytest.mark.parametrize("loss", ["huber", "l1", "lsq"])
def test_two_variables(loss):
    N, D = np.meshgrid([1e6, 1e7, 1e8, 1e9], [1e8, 1e9, 1e10, 1e11])
    exact = 1.8 + 480 * N**-0.35 + 2100 * D**-0.37
    columns = {"N": N.ravel(), "D": D.ravel(), "loss": exact.ravel()}
    fitted = fit(columns, ("N", "D"), loss=loss, bootstrap=2)
    truth = {"E": 1.8, "A": 480, "alpha": 0.35, "B": 2100, "beta": 0.37}
    assert fitted.converged
    assert fitted.parameters == pytest.approx(truth, rel=1e-6)
    assert fitted.predict(1e10, 1e12) == pytest.approx(
        1.8 + 480 * 1e10**-0.35 + 2100 * 1e12**-0.37
    )


def grid(noise=0.0, alpha=0.35, beta=0.37):
    N, D = np.meshgrid([1e6, 1e7, 1e8, 1e9], [1e8, 1e9, 1e10, 1e11])
    exact = 1.8 + 480 * N**-alpha + 2100 * D**-beta
    wobble = np.random.default_rng(0).standard_normal(exact.shape)
    loss = exact * (1 + noise * wobble)
    return {"N": N.ravel(), "D": D.ravel(), "loss": loss.ravel()}


@pytest.mark.parametrize("loss", ["huber", "l1", "lsq"])
def test_a_tied_exponent_is_one_unknown_of_both(loss):
    fitted = fit(grid(beta=0.35), ("N", "D"), loss=loss, tied=True, bootstrap=20)
    truth = {"E": 1.8, "A": 480, "alpha": 0.35, "B": 2100, "beta": 0.35}
    assert fitted.converged
    assert fitted.law == "loss = E + A·N^(−alpha) + B·D^(−alpha)"
    assert fitted.parameters == pytest.approx(truth, rel=1e-6)
    for what in (fitted.interval95, fitted.standard_errors):
        assert list(what) == list(truth)
        assert what["alpha"] == what["beta"]
    with pytest.raises(UsageError, match="second x"):
        fit(grid(), tied=True)


def test_over_training_is_a_tied_law():
    """Gadre et al. (2024): L = E + (a·M^η + b·M^(−η))·C^(−η), M = D/N, C = 6ND."""
    N, M = np.meshgrid([1e7, 8e7, 4e8, 1.4e9], [20.0, 80.0, 320.0, 640.0])
    D = M * N
    loss = 1.51 + (141 * M**0.121 + 190 * M**-0.121) * (6 * N * D) ** -0.121
    columns = {"N": N.ravel(), "D": D.ravel(), "loss": loss.ravel()}
    fitted = fit(columns, ("N", "D"), tied=True, bootstrap=20)
    assert fitted.parameters["alpha"] == pytest.approx(2 * 0.121, rel=1e-6)
    assert fitted.parameters["A"] == pytest.approx(141 * 6**-0.121, rel=1e-5)
    assert fitted.parameters["E"] == pytest.approx(1.51, rel=1e-6)
    assert fitted.leave_largest_out < 1e-6


def test_a_tied_law_costs_one_unknown_less():
    columns = grid(0.003, beta=0.35)
    free, tied = (
        fit(columns, ("N", "D"), loss="lsq", tied=tied, bootstrap=200)
        for tied in (False, True)
    )
    assert tied.models["tied power + floor"] == tied.aicc < free.aicc
    assert tied.models["power + floor"] == pytest.approx(free.aicc)
    assert tied.standard_errors["beta"] < 0.8 * free.standard_errors["beta"]


@pytest.mark.parametrize("in_logs", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_the_derivatives_are_those_of_differences(tied, in_logs):
    rng = np.random.default_rng(1)
    form = Form(("N", "D"), tied=tied)
    y, sigma = rng.uniform(2, 4, (1, 9)), rng.uniform(0.5, 2, 9)
    log_x = rng.normal(size=(2, 9))
    problem = Problem(form, log_x, y, np.ones((1, 9)), sigma, in_logs, delta=0.2)
    here = np.array([[1.1, 0.3, 0.4, -0.2, 0.6]])[:, : form.n_columns]
    slopes = problem.slopes(here)
    step = 1e-6 * np.eye(form.n_columns)
    ends = [(here + s, here - s) for s in step[:, None]]
    by_one = [(problem.objective(a) - problem.objective(b)) / 2e-6 for a, b in ends]
    np.testing.assert_allclose(slopes.gradient[0], np.ravel(by_one), rtol=1e-6)
    by_two = [problem.slopes(a).gradient - problem.slopes(b).gradient for a, b in ends]
    np.testing.assert_allclose(
        slopes.hessian[0], np.concatenate(by_two) / 2e-6, rtol=1e-5, atol=1e-6
    )


def test_two_sizes_that_change_together_are_refused():
    sizes = np.geomspace(1e6, 1e10, 8)
    loss = 1.8 + 480 * sizes**-0.35
    with pytest.raises(UsageError, match="always the same power"):
        fit({"N": sizes, "D": 20 * sizes, "loss": loss}, ("N", "D"))


@pytest.mark.parametrize("unit", [1 / math.log(2), 1e-6, 1e9])
def test_units_and_huge_ranges_change_no_exponent(unit):
    N, D = np.meshgrid(np.geomspace(1e6, 1e12, 4), np.geomspace(1e9, 1e15, 4))
    loss = unit * (1.8 + 480 * N**-0.35 + 2100 * D**-0.37)
    columns = {"parámetros": N.ravel(), "令牌": D.ravel(), "bits": loss.ravel()}
    fitted = fit(columns, ("parámetros", "令牌"), "bits", bootstrap=20)
    assert fitted.converged
    assert fitted.parameters["E"] == pytest.approx(1.8 * unit, rel=1e-6)
    assert fitted.parameters["beta"] == pytest.approx(0.37, rel=1e-5)
