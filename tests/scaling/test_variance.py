"""Rows of one run share its luck: intervals that know it, and ones that do not."""

import numpy as np
import pytest

from minillm.errors import UsageError
from minillm.laws import fit
from minillm.laws.formula import Form
from minillm.laws.huber import Problem
from minillm.laws.variance import far_off

SIZES = 36.0 * np.array([16, 24, 32, 48, 64, 96]) ** 2
LENGTHS = np.array([1e6, 2e6, 4e6, 8e6])
ALPHA, BETA = 0.43, 0.5


def branched(seed: int, shared=0.003, own=0.001, sizes=SIZES) -> dict:
    """A series of one run a size, each with a point at every length."""
    rng = np.random.default_rng(seed)
    run = np.repeat(np.arange(len(sizes)), len(LENGTHS))
    N, D = sizes[run], np.tile(LENGTHS, len(sizes))
    luck = shared * rng.standard_normal(len(sizes))[run]
    exact = 1.0 + 33.3 * N**-ALPHA + 300 * D**-BETA
    loss = exact * np.exp(luck + own * rng.standard_normal(len(N)))
    return {"N": N, "D": D, "loss": loss, "trunk": [f"run {r}" for r in run]}


def fit_both(columns: dict, **options):
    return fit(columns, ("N", "D"), **{"bootstrap": 100, **options})


@pytest.mark.slow
def test_intervals_that_know_what_a_run_shares_hold_the_truth():
    """19 of 20 should hold it; without knowing, 13 of 20 do."""
    held, width = np.zeros((2, 2), int), np.zeros((2, 2))
    for seed in range(12):
        columns = branched(seed)
        for way, group in enumerate((None, "trunk")):
            ends = fit_both(columns, group=group, seed=seed).interval95
            for at, (name, truth) in enumerate({"alpha": ALPHA, "beta": BETA}.items()):
                low, high = ends[name]
                held[way, at] += low <= truth <= high
                width[way, at] += high - low
    alone, grouped = held
    assert alone[0] <= 9
    assert grouped.min() >= 10
    assert width[1, 0] > 2 * width[0, 0]
    # beta is told apart within runs, where there is little noise.
    assert width[1, 1] < 0.6 * width[0, 1]


@pytest.mark.slow
def test_standard_errors_are_those_of_many_series():
    laws = [fit_both(branched(seed), group="trunk", bootstrap=50) for seed in range(12)]
    for name in ("alpha", "beta"):
        true = np.std([law.parameters[name] for law in laws])
        stated = [law.standard_errors[name] for law in laws]
        assert np.sqrt(np.mean(np.square(stated))) == pytest.approx(true, rel=0.4)


@pytest.mark.parametrize("runs", [6, 40])
def test_where_every_row_is_a_run_of_its_own_nothing_changes(runs):
    sizes = np.geomspace(1e4, 1e6, runs)
    rng = np.random.default_rng(0)
    loss = (1.1 + 40 * sizes**-0.45) * (1 + 0.002 * rng.standard_normal(runs))
    columns = {"N": sizes, "loss": loss, "run": np.arange(runs)}
    alone, grouped = (fit(columns, group=group) for group in (None, "run"))
    assert grouped.interval95 == alone.interval95
    assert grouped.leave_largest_out == alone.leave_largest_out
    assert grouped.n_runs == alone.n_runs == runs


def repeated(columns: dict, times: int) -> dict:
    """Every row so many times, as one run."""
    copies = {name: np.repeat(column, times) for name, column in columns.items()}
    return {**copies, "run": np.repeat(np.arange(len(columns["N"])), times)}


@pytest.mark.parametrize(("runs", "tolerance"), [(8, 0.25), (32, 1e-6)])
def test_copies_of_a_row_say_no_more_than_the_row(runs, tolerance):
    """Many runs are drawn anew as a whole: the same draws, the same intervals."""
    sizes = np.geomspace(1e4, 1e6, runs)
    rng = np.random.default_rng(1)
    loss = (1.1 + 40 * sizes**-0.45) * (1 + 0.002 * rng.standard_normal(runs))
    columns = {"N": sizes, "loss": loss}
    options = {"bootstrap": 1000, "loss": "lsq"}
    once, copied, taken_for_more = (
        np.diff(law.interval95["alpha"])[0]
        for law in (
            fit(columns, **options),
            fit(repeated(columns, 4), group="run", **options),
            fit(repeated(columns, 4), **options),
        )
    )
    assert copied == pytest.approx(once, rel=tolerance)
    assert taken_for_more < 0.65 * once


def test_the_noise_drawn_is_that_of_the_series():
    law = fit_both(branched(3, sizes=np.geomspace(1e4, 1e6, 25)), group="trunk")
    _, noise = law.noise.draw(4000, np.random.default_rng(0))
    residual = np.log(law.y / law.predict(*law.x))
    assert noise.std() == pytest.approx(residual.std(), rel=0.15)
    same, other = (np.corrcoef(noise[:, 0], noise[:, at])[0, 1] for at in (3, 4))
    assert same == pytest.approx(0.9, abs=0.05)
    assert abs(other) < 0.1
    between, within = law.noise.degrees
    assert between + within == pytest.approx(law.n - 5)
    assert between == pytest.approx(25 - 3, abs=0.1)  # E, A and alpha


@pytest.mark.slow
def test_too_few_runs_are_said_to_be_too_few():
    law = fit_both(branched(0, sizes=SIZES[:3]), group="trunk")
    assert law.interval95 == fit_both(branched(0, sizes=SIZES[:3])).interval95
    assert any("are of 3 runs, too few" in warning for warning in law.warnings)
    enough = fit_both(branched(0), group="trunk")
    assert not any("luck" in warning for warning in enough.warnings)


@pytest.mark.slow
def test_the_largest_is_left_out_with_its_whole_run():
    columns = branched(0)
    grouped = fit_both(columns, group="trunk")
    smaller = {name: column[: -len(LENGTHS)] for name, column in columns.items()}
    predicted = fit_both(smaller).predict(SIZES[-1], LENGTHS[-1])
    expected = abs(predicted / columns["loss"][-1] - 1)
    assert grouped.leave_largest_out == pytest.approx(expected)
    assert fit_both(columns).leave_largest_out != pytest.approx(expected, rel=0.1)


@pytest.mark.slow
def test_a_column_of_runs_that_was_not_named_is_a_doubt():
    columns = branched(0)
    assert any("add group='trunk'" in warning for warning in fit_both(columns).warnings)
    grouped = fit_both(columns, group="trunk")
    assert not any("group=" in warning for warning in grouped.warnings)
    columns["trunk"] = list(range(24))
    assert not any("group=" in warning for warning in fit_both(columns).warnings)


def test_a_row_without_a_run_is_left_out():
    columns = branched(0)
    columns["trunk"][2], columns["trunk"][5] = " ", None
    law = fit_both(columns, group="trunk")
    assert [point["row"] for point in law.excluded] == [3, 6]
    assert law.excluded[0]["reason"] == "trunk is missing"
    assert law.n_runs == 6
    with pytest.raises(UsageError, match="no column 'seed'"):
        fit_both(columns, group="seed")


@pytest.mark.parametrize("in_logs", [True, False])
@pytest.mark.parametrize(
    "form",
    [Form(("N", "D")), Form(("N", "D"), tied=True), Form(("N",), floor=False)],
)
def test_the_slopes_of_residuals_are_those_of_differences(form, in_logs):
    rng = np.random.default_rng(1)
    log_x = rng.normal(size=(len(form.variables), 7))
    y, sigma = rng.uniform(2, 4, (1, 7)), rng.uniform(0.5, 2, 7)
    problem = Problem(form, log_x, y, np.ones((1, 7)), sigma, in_logs)
    here = np.array([[1.1, 0.3, 0.4, -0.2, 0.6]])[:, : form.n_columns]
    here[:, 0] *= form.floor
    steps = 1e-6 * np.eye(form.n_columns)[0 if form.floor else 1 :]
    by_one = [
        (problem.residuals(here + s) - problem.residuals(here - s))[0] / 2e-6
        for s in steps
    ]
    np.testing.assert_allclose(problem.jacobian(here)[0], by_one, rtol=1e-6, atol=1e-8)


def test_an_accident_is_far_off_beside_the_others():
    def found(*far, n=12, unknowns=3):
        residual = 0.001 * np.cos(np.arange(n, dtype=float))
        for at, size in far:
            residual[at] = size
        return np.flatnonzero(far_off(residual, unknowns)).tolist()

    assert found() == []
    assert found((4, 0.004)) == []
    assert found((4, -0.2)) == [4]
    # Neither hides the other; more than a quarter are no accidents.
    assert found((0, 0.2), (11, -0.15)) == [0, 11]
    assert found(*((at, 0.2) for at in range(4))) == []
    # Of few points, the others do not show their own level.
    assert found((4, 0.2), n=6) == []
    assert found((4, 0.2), n=7) == [4]


def test_squares_take_all_for_noise():
    sizes = np.geomspace(1e4, 1e6, 12)
    y = (1.1 + 40 * sizes**-0.45) * (1 + 0.001 * np.cos(np.arange(12.0)))
    y[3] *= 1.2
    robust, squares = (
        fit({"N": sizes, "loss": y}, loss=loss, bootstrap=50)
        for loss in ("huber", "lsq")
    )
    assert np.flatnonzero(~np.isnan(robust.noise.outliers)).tolist() == [3]
    assert robust.noise.degrees == (8, 0)
    assert np.isnan(squares.noise.outliers).all()
    _, noise = robust.noise.draw(500, np.random.default_rng(0))
    sizes = np.unique(np.abs(noise[:, 3]))
    assert sizes == pytest.approx(0.182, abs=0.002) and (noise[:, 3] > 0).any()
    assert np.median(noise.std(0)[np.arange(12) != 3]) < 0.005
