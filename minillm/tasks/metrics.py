"""Accuracy, precision, recall and F1 from a table of confusions."""

from collections.abc import Sequence

import numpy as np


def confusion(true, predicted, n_classes: int) -> np.ndarray:
    """How often each class (row) was taken for each (column).   (n,), (n,) -> (C, C)"""
    counts = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(counts, (true, predicted), 1)
    return counts


def report(counts: np.ndarray, labels: Sequence[str]) -> dict:
    """Accuracy, and for each class precision, recall and F1, from a confusion matrix.

    Precision: of those predicted to be of a class, the share that is. Recall: of those
    that are, the share predicted to be. F1 is their harmonic mean. What is a share of
    nothing is 0: the precision of a class never predicted, for one. The macro means
    count each class once, however rare, and leave out those that neither occur nor are
    predicted. All as in scikit-learn, with its `zero_division=0`.
    """
    right = counts.diagonal()
    n_true, n_predicted = counts.sum(axis=1), counts.sum(axis=0)
    figures = {
        "precision": _share(right, n_predicted),
        "recall": _share(right, n_true),
        "f1": _share(2 * right, n_true + n_predicted),
    }
    met = n_true + n_predicted > 0
    return {
        "accuracy": _share(right.sum(), counts.sum()).item(),
        **{f"macro_{name}": each[met].mean().item() for name, each in figures.items()},
        "per_class": {
            label: {name: each[i].item() for name, each in figures.items()}
            | {"n": n_true[i].item()}
            for i, label in enumerate(labels)
        },
        "confusion": {"labels": list(labels), "counts": counts.tolist()},
    }


def _share(part, whole) -> np.ndarray:
    return np.divide(part, np.maximum(whole, 1))
