"""Parameters that are known: what is left is fitted, and counted."""

import json

import numpy as np
import pytest

from minillm.errors import UsageError
from minillm.laws import fit
from minillm.laws.aicc import penalty
from minillm.laws.law_figure import draw_law

TRUTH = {"E": 1.1, "A": 40.0, "alpha": 0.45}
BOTH = {"E": 1.8, "A": 480.0, "alpha": 0.35, "B": 2100.0, "beta": 0.37}
SIZES = np.geomspace(1e4, 1e6, 12)


def one(noise=0.002) -> dict:
    wobble = np.random.default_rng(0).standard_normal(12)
    return {"N": SIZES, "loss": (1.1 + 40 * SIZES**-0.45) * (1 + noise * wobble)}


def two(noise=0.002) -> dict:
    N, D = map(np.ravel, np.meshgrid([1e6, 1e7, 1e8, 1e9], [1e8, 1e9, 1e10, 1e11]))
    loss = BOTH["E"] + BOTH["A"] * N ** -BOTH["alpha"] + BOTH["B"] * D ** -BOTH["beta"]
    wobble = np.random.default_rng(0).standard_normal(16)
    return {"N": N, "D": D, "loss": loss * (1 + noise * wobble)}


@pytest.mark.parametrize("loss", ["huber", "l1", "lsq"])
@pytest.mark.parametrize(
    "names", [["E"], ["A"], ["alpha"], ["E", "alpha"], ["E", "A"], ["A", "alpha"]]
)
def test_the_others_come_back(names, loss):
    fix = {name: TRUTH[name] for name in names}
    law = fit(one(0), fix=fix, loss=loss, bootstrap=20)
    assert law.converged
    assert law.parameters == pytest.approx(TRUTH, rel=1e-6)
    assert {name: law.parameters[name] for name in names} == fix


@pytest.mark.parametrize("names", [["E"], ["beta"], ["B", "alpha"], ["E", "A", "beta"]])
def test_so_they_do_in_two_variables(names):
    fix = {name: BOTH[name] for name in names}
    law = fit(two(0), ("N", "D"), fix=fix, bootstrap=20)
    assert law.converged
    assert law.parameters == pytest.approx(BOTH, rel=1e-6)


@pytest.mark.parametrize("fix", [{"E": 1.1}, {"E": 1.1, "alpha": 0.45}])
def test_what_is_known_is_no_unknown(fix):
    law, free = (fit(one(), fix=f, loss="lsq", bootstrap=200) for f in (fix, None))
    for name, value in fix.items():
        assert law.interval95[name] == [value, value]
        assert law.standard_errors[name] == 0
    for name in set(TRUTH) - set(fix):
        assert 0 < law.standard_errors[name] < 0.8 * free.standard_errors[name]
        low, high = law.interval95[name]
        assert low < TRUTH[name] < high
    unknowns = 3 - len(fix)
    squares = np.mean((law.predict(SIZES) - law.y) ** 2)
    expected = 12 * np.log(squares) + penalty(12, unknowns)
    assert law.aicc == pytest.approx(expected)
    assert law.noise.degrees[0] == 12 - unknowns
    assert law.models["power + floor"] == pytest.approx(free.aicc)
    # What is known is contained in what is free.
    price = penalty(12, 3) - penalty(12, unknowns)
    assert law.models["power + floor"] - law.aicc <= price + 1e-9
    record = json.loads(json.dumps(law.to_json(), allow_nan=False))
    assert record["fixed"] == fix
    assert (record["floor"] is None) == ("E" in fix)
    draw_law(law)


def test_the_squares_of_a_known_floor_are_those_of_a_line():
    """With E and alpha known, ln y needs nothing but the mean of ln(y − E)."""
    columns = one() | {"rest": one()["loss"] - 1.1}
    law = fit(columns, y="rest", fix={"E": 0, "alpha": 0.45}, loss="lsq")
    ratio = SIZES**-0.45
    expected = (columns["rest"] @ ratio) / (ratio @ ratio)
    assert law.parameters["A"] == pytest.approx(expected)
    pure = fit(columns, y="rest", floor=False, loss="lsq", bootstrap=20)
    at_0 = fit(columns, y="rest", fix={"E": 0}, loss="lsq", bootstrap=20)
    assert at_0.aicc == pytest.approx(pure.aicc)


def test_fewer_unknowns_need_fewer_points():
    few = {name: column[:3] for name, column in one(0).items()}
    with pytest.raises(UsageError, match="need 4"):
        fit(few)
    assert fit(few, fix={"E": 1.1}).parameters["A"] == pytest.approx(40)
    N, D = np.meshgrid(np.geomspace(1e6, 1e9, 5), [1e8, 1e10])
    columns = {"N": N.ravel(), "D": D.ravel()}
    columns["loss"] = 1.8 + 480 * columns["N"] ** -0.35 + 2100 * columns["D"] ** -0.37
    with pytest.raises(UsageError, match="exponent needs 3"):
        fit(columns, ("N", "D"))
    law = fit(columns, ("N", "D"), fix={"beta": 0.37}, bootstrap=20)
    assert law.parameters == pytest.approx(BOTH, rel=1e-6)


def test_a_floor_above_a_loss_is_doubted():
    found = fit(one(), fix={"E": 1.25}, bootstrap=20).warnings
    assert any("points lie below the fixed E = 1.25" in text for text in found)


@pytest.mark.parametrize(
    ("options", "fix", "words"),
    [
        ({}, {"beta": 1}, "fix beta: this law has E, A, alpha"),
        ({"floor": False}, {"E": 1}, "fix E: this law has A, alpha"),
        ({"x": ("N", "D"), "tied": True}, {"beta": 1}, "and beta is alpha"),
        ({}, {"E": -1}, "E is 0 or more"),
        ({}, {"A": 0}, "A is more than 0"),
        ({}, {"alpha": 0}, "would not fall"),
        ({}, {"E": np.nan}, "a finite number"),
        ({}, {"E": 9}, "every loss is below E = 9"),
        ({}, TRUTH, "nothing is left to fit"),
    ],
)
def test_what_cannot_be_fixed_is_refused(options, fix, words):
    with pytest.raises(UsageError, match=words):
        fit(two(), **{"x": "N"} | options, fix=fix)
