"""Records are dictionaries whose keys are attributes."""

import copy
import json
import pickle
from pathlib import Path

import pytest

from minillm import fit, load_run
from minillm.keyed import Keyed
from minillm.runs.run_record import RunRecord

PLAIN = {"a": {"b": [1, {"c": 2}]}, "two words": 3, "items": 4, "none": None}


def test_a_record_is_still_a_dictionary():
    record = Keyed(PLAIN)
    assert isinstance(record, dict) and record == PLAIN
    assert json.dumps(record) == json.dumps(PLAIN)
    assert record["a"]["b"][1]["c"] == record.a.b[1].c == 2
    assert list(record) == list(PLAIN)
    assert callable(record.items) and record["items"] == 4  # a method stays one


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))]
)
def test_a_copy_is_a_record_too(copied):
    record = Keyed(PLAIN)
    other = copied(record)
    assert type(other) is Keyed and other == record and other.a.b[1].c == 2
    other.a.d = 5
    assert other["a"]["d"] == 5


def test_attributes_are_offered_for_completion_and_missing_ones_named():
    record = Keyed(PLAIN)
    assert {"a", "items", "none", "keys"} <= set(dir(record))
    assert "two words" not in dir(record)
    with pytest.raises(AttributeError, match=r"no 'b' in this record.* a, two words"):
        _ = record.b
    assert not hasattr(record, "_repr_svg_")


def test_its_text_fits_a_screen():
    assert repr(Keyed(a=1, b={"c": [2]})) == "{'a': 1, 'b': {'c': [2]}}"
    long = Keyed({f"key{i}": {"values": list(range(10_000))} for i in range(90)})
    lines = repr(long).splitlines()
    assert len(lines) == 32 and max(map(len, lines)) <= 90
    assert lines[0].startswith("{'key0': {'values': [0, 1, 2")
    assert "59 more keys" in lines[-1]


def test_train_returns_a_record(record):
    assert type(record) is RunRecord
    assert record.results.val_loss == record["results"]["val_loss"]
    out = Path(record.options.out)
    written = json.loads((out / "run.json").read_text("utf-8"))
    assert json.loads(json.dumps(record)) == written
    assert len(repr(record).splitlines()) <= 32
    assert load_run(out).record.results.val_loss == record.results.val_loss


def test_a_law_has_its_parameters_as_attributes():
    sizes = [1e4, 3e4, 1e5, 3e5, 1e6, 3e6]
    law = fit({"N": sizes, "loss": [1.5 + 40 * n**-0.4 for n in sizes]})
    assert (law.E, law.A, law.alpha) == tuple(law.parameters.values())
    assert {"E", "A", "alpha", "plot"} <= set(dir(law)) and "beta" not in dir(law)
    with pytest.raises(AttributeError, match=r"this law has no beta: loss = E \+"):
        _ = law.beta
    other = pickle.loads(pickle.dumps(law))
    assert other.E == law.E and copy.deepcopy(law).alpha == law.alpha
    record = law.to_json()
    assert record.parameters.E == law.E
    assert json.loads(json.dumps(record)) == record
    assert repr(law).startswith("LawFit(loss = E + A·N^(−alpha): E 1.5 (1.")
