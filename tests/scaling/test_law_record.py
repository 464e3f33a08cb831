"""`plan --law` with what `fit --json` has printed: by what the law's variables are."""

import json

import numpy as np
import pytest

from minillm.errors import DataError, UsageError
from minillm.scaling import fit
from minillm.scaling.advice import advise
from minillm.scaling.advice.optimum import Law
from minillm.scaling.advice.source import read_law
from minillm.scaling.quantities import column_of, quantity_of

TRUTH = Law(E=1.69, A=406.4, alpha=0.34, B=410.7, beta=0.28)
N, D = (grid.ravel() for grid in np.meshgrid([1e5, 4e5, 1.6e6, 6.4e6], [1e6, 8e6, 6e7]))
BEST = TRUTH.best_for_flops(1e15)


def record_of(x, y="loss", n="N", d="D", **options) -> dict:
    """The record of a fit of the truth, whose columns are called so."""
    columns = {n: N, d: D, "C": 6 * N * D, "steps": D / 512, "seconds": D / 1e3}
    columns[y] = np.exp(TRUTH.loss(N, D)) if y == "ppl" else TRUTH.loss(N, D)
    found = fit(columns, x, y, bootstrap=2, **options).to_json()
    return json.loads(json.dumps(found))


@pytest.fixture
def law_of(tmp_path):
    """A function from a record to the law that `plan` reads in it."""

    def read(record, name="fit.json"):
        path = tmp_path / name
        path.write_text(json.dumps(record, sort_keys=True), encoding="utf-8")
        return read_law(path)

    return read


@pytest.mark.parametrize(
    "names",
    [("N", "D"), ("n", "d"), ("params", "tokens"), ("model size", "training tokens")],
)
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("old", [False, True])
def test_either_order_and_other_names_give_the_same_answer(law_of, names, swapped, old):
    x = names[::-1] if swapped else names
    record = record_of(x, n=names[0], d=names[1])
    if old:  # only the formula says what the variables are
        del record["variables"], record["measured"]
    known = law_of(record)
    answer = advise(known, flops=1e15)
    assert answer["optimum"]["parameters"] == pytest.approx(BEST[0], rel=1e-4)
    assert answer["optimum"]["loss"] == pytest.approx(TRUTH.loss(*BEST), rel=1e-5)
    assert known.ranges == {"N": (1e5, 6.4e6), "D": (1e6, 6e7)}
    # What is shown goes by the formula, so that both agree.
    first = 406.4 if not swapped else 410.7
    assert answer["law"]["parameters"]["A"] == pytest.approx(first, rel=1e-3)
    assert answer["law"]["law"] == record["law"]
    said = [note for note in known.notes if "reads" in note]
    assert said == (
        [f"{known.source}: reads {x[0]} as {'D' if swapped else 'N'}, {x[1]} as "]
        if False
        else said
    )
    assert bool(said) == (names[0].upper() != "N")


def test_a_law_of_other_forms_is_read_too(law_of):
    for options in ({"floor": False}, {"tied": True}):
        known = law_of(record_of(("D", "N"), **options))
        found = record_of(("N", "D"), **options)["parameters"]
        assert known.law == pytest.approx(Law(**{"E": 0.0, **found}), rel=1e-3) or all(
            getattr(known.law, name) == pytest.approx(value, rel=1e-3)
            for name, value in found.items()
        )
