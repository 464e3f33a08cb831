"""isoFLOP profiles: known optima come back, and what has none is said."""

import json

import numpy as np
import pytest

from minillm import figures
from minillm.errors import DataError, UsageError
from minillm.laws.isoflop import fit_isoflop
from minillm.laws.isoflop_budgets import same_budget
from minillm.laws.isoflop_figure import draw_isoflop
from minillm.laws.isoflop_profile import Profile, natural_spline

# L(N, D) of Hoffmann et al. as fitted by Besiroglu et al. (2024), in round numbers.
E, A, ALPHA, B, BETA = 1.82, 480.0, 0.35, 2100.0, 0.37
BUDGETS = (6e18, 3e19, 1e20, 3e20, 1e21)
EXPONENT = BETA / (ALPHA + BETA)


def best_size(flops):
    ratio = (ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA))
    return ratio * (flops / 6) ** EXPONENT


def runs(noise=0.0, seed=0, sizes=7, width=1.0, shift=0.0, budgets=BUDGETS):
    """Columns N, D, C, loss; the sizes span 10^width around 10^shift · the best."""
    rng = np.random.default_rng(seed)
    C = np.repeat(budgets, sizes)
    around = 10 ** (np.linspace(-width / 2, width / 2, sizes) + shift)
    N = best_size(C) * np.tile(around, len(budgets))
    D = C / (6 * N)
    loss = E + A * N**-ALPHA + B * D**-BETA
    loss *= 1 + noise * rng.standard_normal(len(loss))
    return {"N": N, "D": D, "C": C, "loss": loss}


def without(columns, *names):
    return {name: column for name, column in columns.items() if name not in names}


@pytest.mark.parametrize(
    ("left_out", "derived"),
    [("C", "C = 6·N·D"), ("D", "D = C/(6·N)"), ("N", "N = C/(6·D)"), ("none", None)],
)
def test_known_optima_come_back(left_out, derived):
    found = fit_isoflop(without(runs(shift=0.05), left_out))
    assert found.derived == found.to_json()["derived"] == derived
    for record, flops in zip(found.budgets, BUDGETS, strict=True):
        assert record["C"] == pytest.approx(flops)
        assert record["N_opt"] == pytest.approx(best_size(flops), rel=0.01)
        assert record["spline"]["N_opt"] == pytest.approx(best_size(flops), rel=0.01)
        assert record["D_opt"] == pytest.approx(flops / 6 / record["N_opt"])
    assert found.laws["N_opt"]["n"] == pytest.approx(EXPONENT, abs=1e-3)
    assert found.laws["D_opt"]["n"] == pytest.approx(1 - EXPONENT, abs=1e-3)
    # Along the optimum both terms fall as C^(−alpha·beta/(alpha + beta)).
    assert found.envelope.parameters["E"] == pytest.approx(E, rel=2e-3)
    assert found.envelope.parameters["alpha"] == pytest.approx(ALPHA * EXPONENT, 0.01)
    assert not found.warnings


def test_flops_that_are_not_6nd():
    columns = runs()
    columns["C"] = 1.3 * columns["C"]
    found = fit_isoflop(columns)
    law = found.laws["N_opt"]
    assert law["a"] * (1.3e20) ** law["n"] == pytest.approx(best_size(1e20), rel=0.01)
    assert found.budgets[2]["D_opt"] == pytest.approx(1e20 / 6 / best_size(1e20), 0.01)
    pflops = fit_isoflop({**columns, "C": columns["C"] / 1e15})
    assert any("check its unit" in warning for warning in pflops.warnings)


def test_intervals_hold_the_truth():
    """19 of 20 should, of the law and of the budgets."""
    law, budgets = 0, 0
    for seed in range(30):
        found = fit_isoflop(runs(0.002, seed, sizes=5), bootstrap=200)
        low, high = found.laws["N_opt"]["interval95"]["n"]
        law += low <= EXPONENT <= high
        assert high - low < 0.3
        for record in found.budgets:
            low, high = record["interval95"] or (0, 0)
            budgets += low <= best_size(record["C"]) <= high
    assert law >= 26
    assert budgets >= 0.88 * 30 * len(BUDGETS)


def test_where_optima_scatter_the_interval_widens():
    quiet = runs(0.0005, sizes=5)
    shifts = np.repeat([1, 1.6, 1 / 1.6, 1.6, 1], 5)
    moved = {**quiet, "N": quiet["N"] * shifts, "D": quiet["D"] / shifts}
    widths = []
    for columns in (quiet, moved):
        found = fit_isoflop(columns)
        widths.append(np.diff(found.laws["N_opt"]["interval95"]["n"])[0])
    assert widths[1] > 4 * widths[0]
    assert any("the optima scatter" in warning for warning in found.warnings)


def test_the_minimum_at_an_edge_is_left_out_and_said():
    columns = runs(shift=0.8)
    low = columns["C"] == BUDGETS[0]
    centred = runs()
    mixed = {name: np.where(low, columns[name], centred[name]) for name in columns}
    found = fit_isoflop(mixed)
    assert [record["used"] for record in found.budgets] == [False, *[True] * 4]
    assert found.laws["N_opt"]["n"] == pytest.approx(EXPONENT, abs=1e-3)
    (warning,) = (w for w in found.warnings if "6e+18" in w)
    assert "at the smallest N" in warning
    assert "add smaller models" in warning
    nowhere = fit_isoflop(runs(shift=-0.8))
    assert nowhere.laws == {}
    assert nowhere.envelope is None
    assert any("add larger models" in warning for warning in nowhere.warnings)
    assert any("no power law follows" in warning for warning in nowhere.warnings)


def test_a_parabola_that_opens_downward_has_no_minimum():
    columns = runs(sizes=5)
    first = columns["C"] == BUDGETS[0]
    columns["loss"][first] = 6 - columns["loss"][first]
    found = fit_isoflop(columns)
    assert found.budgets[0]["opens_downward"]
    assert not found.budgets[0]["used"]
    assert any("opens downward" in warning for warning in found.warnings)


def test_fewer_than_five_sizes():
    four = fit_isoflop(runs(0.001, sizes=4))
    assert sum("4 sizes, where" in warning for warning in four.warnings) == 5
    assert four.laws["N_opt"]["interval95"]
    three = fit_isoflop(runs(sizes=3))
    assert three.laws["N_opt"]["interval95"] is None
    assert any("there are no intervals" in warning for warning in three.warnings)
    with pytest.raises(UsageError, match="no compute budget has runs of 3 sizes"):
        fit_isoflop(runs(sizes=2))


def test_few_or_close_budgets():
    two = fit_isoflop(runs(0.001, budgets=(1e19, 1e20)))
    assert any("a third" in warning for warning in two.warnings)
    close = fit_isoflop(runs(0.001, budgets=(1e19, 2e19, 4e19)))
    assert any("span a factor of 4;" in warning for warning in close.warnings)


def test_narrow_sizes_and_a_run_off_its_parabola():
    narrow = fit_isoflop(runs(width=0.2))
    assert any("span a factor of 1.4" in warning for warning in narrow.warnings)
    columns = runs()
    columns["loss"][10] *= 0.95
    found = fit_isoflop(columns)
    assert any("off the parabola" in w for w in found.warnings if "3e+19" in w)


def test_rows_left_out_have_a_reason():
    columns = {name: np.append(c, c[0]) for name, c in runs().items()}
    columns["C"][-1] = 1e23
    columns["loss"][3] = np.nan
    columns["N"][4] = np.nan
    found = fit_isoflop(columns)
    assert [point["row"] for point in found.excluded] == [4, 5, 36]
    assert "1 sizes, not 3" in found.excluded[-1]["reason"]


def test_what_cannot_be_read_is_refused():
    with pytest.raises(UsageError, match="no column D or N; name the tokens"):
        fit_isoflop(without(runs(), "N", "D"))
    with pytest.raises(UsageError, match="no column D or C; name the tokens"):
        fit_isoflop(without(runs(), "C", "D"))
    with pytest.raises(UsageError, match="no column 'params'"):
        fit_isoflop(runs(), n="params")
    with pytest.raises(UsageError, match="bootstrap 1"):
        fit_isoflop(runs(), bootstrap=1)
    with pytest.raises(UsageError, match="seed -1"):
        fit_isoflop(runs(), seed=-1)
    with pytest.raises(DataError, match=r"N is 0 \(rows 1–35\)"):
        fit_isoflop({**runs(), "N": np.zeros(35)})


def test_budgets_nearly_equal_are_one():
    rng = np.random.default_rng(0)
    columns = runs(sizes=5)
    flops = columns["C"] * rng.uniform(0.95, 1.05, 25)
    assert [len(same) for same in same_budget(flops)] == [5] * 5
    found = fit_isoflop({**columns, "C": flops})
    assert found.laws["N_opt"]["n"] == pytest.approx(EXPONENT, abs=0.03)


def test_budgets_that_run_into_one_another_are_cut_where_most_are():
    crowd = 1e20 * np.linspace(0.95, 1.05, 9)
    strays = 1e20 * 1.15 ** np.arange(-6, 7)
    groups = same_budget(np.append(crowd, strays))
    assert sorted(np.concatenate(groups)) == list(range(22))
    assert set(range(9)) <= set(max(groups, key=len))
    columns = runs(sizes=9, width=1.2)
    D = columns["D"] * np.tile(np.linspace(0.5, 2, 9), 5)
    found = fit_isoflop({**without(columns, "C"), "D": D})
    assert any("leave no gap" in warning for warning in found.warnings)


def test_sizes_nearly_equal_are_one_place():
    n = np.array([1e6, 1.01e6, 2e6, 4e6, 4.02e6, 4.03e6, 8e6])
    profile = Profile(1e15, n, n, np.array([4, 4.2, 3, 2, 2.2, 2.1, 3]))
    np.testing.assert_allclose(profile.sizes, [1.005e6, 2e6, 4.02e6, 8e6])
    np.testing.assert_allclose(profile.medians, [4.1, 3, 2.1, 3])
    assert profile.near.all()


def test_the_spline_is_smooth_and_meets_its_knots():
    knots = np.array([0.0, 0.5, 1.7, 2.0, 3.0])
    y = np.array([3.0, 1.0, 0.5, 0.7, 2.0])
    np.testing.assert_allclose(natural_spline(knots, y, knots), y, atol=1e-12)
    line = np.linspace(0, 3, 3001)
    bend = np.diff(natural_spline(knots, y, line), 2) / 1e-6
    assert np.abs(np.diff(bend)).max() < 0.1
    np.testing.assert_allclose(bend[[0, -1]], 0, atol=0.05)
    # A straight line stays one.
    np.testing.assert_allclose(natural_spline(knots, 2 * knots, line), 2 * line)


def test_json_holds_only_numbers_json_knows():
    for columns in (runs(0.002), runs(sizes=3), runs(shift=0.8)):
        record = fit_isoflop(columns, bootstrap=50).to_json()
        json.dumps(record, allow_nan=False)
        assert record["n"] == len(columns["N"])
        assert set(record) >= {"budgets", "laws", "envelope", "excluded", "warnings"}


def test_the_same_seed_gives_the_same_intervals():
    first, second, other = (
        fit_isoflop(runs(0.002), seed=seed, bootstrap=100).laws for seed in (1, 1, 2)
    )
    assert first == second != other


@pytest.mark.parametrize("columns", [runs(0.002), runs(sizes=3), runs(shift=0.8)])
def test_the_picture(columns, tmp_path):
    found = fit_isoflop(columns, bootstrap=50)
    path = figures.save(draw_isoflop(found), tmp_path / "isoflop.svg")
    text = path.read_text(encoding="utf-8")
    assert "training FLOPs C" in text
    assert ("tokens" in text) == bool(found.laws)
    assert ("too few budgets" in text) != bool(found.laws)
