"""`plan --law` with what `fit --json` has printed: by what the law's variables are."""

import functools
import json

import numpy as np
import pytest

from minillm.errors import DataError, UsageError
from minillm.laws import fit
from minillm.laws.quantities import column_of, quantity_of
from minillm.studies.advice import advise
from minillm.studies.advice.compute_optimal import Law
from minillm.studies.advice.source import read_law

TRUTH = Law(E=1.69, A=406.4, alpha=0.34, B=410.7, beta=0.28)
N, D = (
    grid.ravel() for grid in np.meshgrid([1e5, 4e5, 1.6e6, 6.4e6], [1e6, 4e6, 2e7, 6e7])
)
BEST = TRUTH.best_for_flops(1e15)


def record_of(x, y="loss", n="N", d="D", **options) -> dict:
    """The record of a fit of the truth, whose columns are called so."""
    return json.loads(printed(x, y, n, d, **options))


@functools.cache
def printed(x, y, n, d, **options) -> str:
    columns = {n: N, d: D, "C": 6 * N * D, "steps": D / 512, "seconds": D / 1e3}
    columns[y] = np.exp(TRUTH.loss(N, D)) if y == "ppl" else TRUTH.loss(N, D)
    return json.dumps(fit(columns, x, y, bootstrap=2, **options).to_json())


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
    letters = ("D", "N") if swapped else ("N", "D")
    said = ", ".join(f"{name} as {to}" for name, to in zip(x, letters, strict=True))
    told = () if names[0].upper() == "N" else (f"{known.source}: reads {said}",)
    assert known.notes == told


@pytest.mark.parametrize("options", [{"floor": False}, {"tied": True}])
def test_other_forms_in_either_order(law_of, options):
    one, other = (law_of(record_of(x, **options)).law for x in (("N", "D"), ("D", "N")))
    assert vars(one) == pytest.approx(vars(other), rel=1e-3)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (("N", "C"), "second variable, C, is FLOPs"),
        (("N", "steps"), "second variable, steps, is steps"),
        (("N", "seconds"), "second variable, seconds, is seconds"),
        (("C",), "first variable, C, is FLOPs"),
        (("D",), r"of D \(tokens\), and `plan` needs the parameters N first"),
    ],
)
@pytest.mark.parametrize("old", [False, True])
def test_a_law_of_other_quantities_is_refused(law_of, x, words, old):
    record = record_of(x)
    if old:
        del record["variables"], record["measured"]
    with pytest.raises(UsageError, match=f"{words}.*fit with x=\\('N', 'D'\\)"):
        law_of(record)


def test_a_name_that_says_nothing_may_be_explained(law_of):
    record = record_of(("width", "my text"), n="width", d="my text", y="quality")
    assert [of["quantity"] for of in record["variables"]] == [None, None]
    with pytest.raises(UsageError, match="width, could be anything: call its column N"):
        law_of(record)
    record["variables"][0]["quantity"] = "N"
    record["variables"][1]["quantity"] = "tokens"
    known = law_of(record)
    assert vars(known.law) == pytest.approx(vars(TRUTH), rel=1e-3)
    assert "quality is taken for a loss, in its own unit" in known.notes[0]
    assert advise(known, flops=1e15)["law"]["y"] == "quality"


@pytest.mark.parametrize(
    ("y", "quantity"), [("ppl", "perplexity"), ("val accuracy", "accuracy")]
)
def test_a_law_of_no_loss_is_refused(law_of, y, quantity):
    with pytest.raises(UsageError, match=f"its law is of {y}, {quantity}, .* y='loss'"):
        law_of(record_of(("N", "D"), y))


def test_what_rises_is_no_loss(law_of):
    record = record_of(("N", "D"))
    record["law"] = record["law"].replace("E +", "E −")
    with pytest.raises(UsageError, match="loss, which rises towards E"):
        law_of(record)


HOFFMANN = {"E": 1.69, "A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28}


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            {"parameters": {**HOFFMANN, "alpha": None}},
            "alpha is missing",
        ),
        (
            {"parameters": {**HOFFMANN, "A": "much"}},
            "must be a number",
        ),
        (
            {"parameters": {**HOFFMANN, "gamma": 1}},
            "parameters E, A, alpha, B, beta, not .*gamma",
        ),
        ({"parameters": {"E": 1, "A": 2, "alpha": 0.3}}, "has the parameters E, A,"),
        ({"parameters": [1.69, 406.4]}, "holds no law: give what"),
        ({"parameters": None}, "holds no law: give what"),
        ({"variables": "N"}, r'write \[\{"column": "N", "quantity": "parameters"'),
        ({"variables": [{"column": "D"}, {"column": "N"}]}, "`variables` are others"),
    ],
)
def test_a_record_that_was_edited_badly_is_refused(law_of, edit, words):
    with pytest.raises(DataError, match=words):
        law_of({**record_of(("N", "D")), **edit})


@pytest.mark.parametrize(
    "edit",
    [
        {"parameters": {**HOFFMANN, "alpha": "0.34"}},
        {"ranges": {"N": None, "D": [1]}, "interval95": None},
        {"interval95": {"alpha": "x", "beta": [0, None]}, "warnings": "one"},
        {"law": None},
    ],
)
def test_a_record_that_lacks_something_is_read(law_of, edit):
    known = law_of({**record_of(("N", "D")), **edit})
    answer = advise(known, flops=1e15)
    assert answer["optimum"]["parameters"] == pytest.approx(BEST[0], rel=1e-3)
    unknown = [w for w in answer["warnings"] if "does not say over which" in w]
    assert bool(unknown) == ("ranges" in edit)


def test_constants_without_variables_are_taken_in_their_order(law_of):
    known = law_of({"law": "Hoffmann et al.", "parameters": HOFFMANN}, "law.txt")
    assert known.law == TRUTH
    assert "A is taken for the term of N" in known.notes[0]


@pytest.mark.parametrize(
    ("name", "quantity"),
    [
        *((name, "parameters") for name in ("N", "n_params", "N (non-embedding)")),
        *(
            (name, "parameters")
            for name in ("Model Size", "参数量 N", "num_parameters")
        ),
        *(
            (name, "tokens")
            for name in ("d", "D_tokens", "Tokens seen", "train-tokens")
        ),
        *((name, "FLOPs") for name in ("C", "total_flops", "compute")),
        *((name, "loss") for name in ("val_loss", "Loss (nats/token)", "bpb", "损失")),
        *((name, "steps") for name in ("step", "iterations", "num_steps")),
        *((name, None) for name in ("params (M)", "tokens_per_second", "size", "run")),
    ],
)
def test_a_name_says_its_quantity(name, quantity):
    assert quantity_of(name) == quantity


def test_of_several_columns_the_one_with_the_letter_is_taken():
    assert column_of("parameters", ["params", "N"]) == "N"
    assert column_of("loss", ["train_loss", "loss"]) == "loss"
    assert column_of("tokens", ["train tokens", "tokens seen"]) is None
    assert column_of("tokens", ["N", "loss"]) is None


def test_a_law_with_a_steep_term_has_large_constants(law_of):
    steep = {**HOFFMANN, "B": 1e36, "beta": 6.0}
    assert law_of({"parameters": steep, "law": "Steep."}).law.B == 1e36
