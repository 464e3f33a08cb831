"""The figures of a classifier, against tables worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.tasks.classification import confusion, report

LABELS = ["cat", "dog", "owl"]


def test_rows_are_what_is_true_and_columns_what_was_predicted():
    counts = confusion([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 0, 0], 3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [2, 0, 1]]


def test_the_figures_of_three_classes_by_hand():
    found = report(np.array([[1, 1, 0], [0, 1, 0], [2, 0, 1]]), LABELS)
    assert found["accuracy"] == pytest.approx(3 / 6)
    by_hand = {
        "cat": {"precision": 1 / 3, "recall": 1 / 2, "f1": 2 / 5, "n": 2},
        "dog": {"precision": 1 / 2, "recall": 1 / 1, "f1": 2 / 3, "n": 1},
        "owl": {"precision": 1 / 1, "recall": 1 / 3, "f1": 1 / 2, "n": 3},
    }
    for label, figures in by_hand.items():
        assert found["per_class"][label] == pytest.approx(figures)
    assert found["macro_precision"] == pytest.approx((1 / 3 + 1 / 2 + 1) / 3)
    assert found["macro_recall"] == pytest.approx((1 / 2 + 1 + 1 / 3) / 3)
    assert found["macro_f1"] == pytest.approx((2 / 5 + 2 / 3 + 1 / 2) / 3)
    assert found["confusion"] == {
        "labels": LABELS,
        "counts": [[1, 1, 0], [0, 1, 0], [2, 0, 1]],
    }


def test_a_class_never_predicted_has_precision_zero():
    found = report(np.array([[3, 0], [1, 0]]), ["cat", "dog"])
    dog = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "n": 1}
    assert found["per_class"]["dog"] == dog
    assert found["macro_precision"] == pytest.approx((3 / 4 + 0) / 2)
    assert found["macro_f1"] == pytest.approx((6 / 7 + 0) / 2)


def test_a_class_that_is_not_there_counts_only_where_it_was_predicted():
    nowhere = report(np.array([[2, 1, 0], [0, 1, 0], [0, 0, 0]]), LABELS)
    assert nowhere["macro_recall"] == pytest.approx((2 / 3 + 1) / 2)
    assert nowhere["per_class"]["owl"]["f1"] == 0.0
    predicted = report(np.array([[2, 0, 1], [0, 1, 0], [0, 0, 0]]), LABELS)
    assert predicted["macro_recall"] == pytest.approx((2 / 3 + 1 + 0) / 3)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1))
def test_any_figures_are_those_of_counting_one_by_one(pairs):
    found = report(confusion(*zip(*pairs, strict=True), 3), LABELS)
    right = sum(a == b for a, b in pairs)
    assert found["accuracy"] == pytest.approx(right / len(pairs))
    for i, label in enumerate(LABELS):
        hits = sum(a == b == i for a, b in pairs)
        misses = sum(a == i != b for a, b in pairs)
        alarms = sum(b == i != a for a, b in pairs)
        p = hits / (hits + alarms) if hits + alarms else 0.0
        r = hits / (hits + misses) if hits + misses else 0.0
        f1 = 2 * p * r / (p + r) if p + r else 0.0
        expected = {"precision": p, "recall": r, "f1": f1, "n": hits + misses}
        assert found["per_class"][label] == pytest.approx(expected)
