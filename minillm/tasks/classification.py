"""Classification: which class a fine-tuned model takes a text to be of."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minillm.generation.sampling import softmax
from minillm.runs.run import Run, open_run
from minillm.tasks.reading import batches, encoded, reading
from minillm.text.table import Table


@dataclass(frozen=True)
class Prediction:
    """The likeliest label of a text, and the probability of each."""

    label: str
    probabilities: dict[str, float]


def classify(run: Run | str, texts: Sequence[str]) -> list[Prediction]:
    """What a classifier says of each text.

    `run` is a run (`load_run`) or the path of one. Of a text longer than the context
    the model sees the beginning. Raises UsageError for a run that knows no labels and
    for an empty text.
    """
    run = open_run(run, ("classify",), "label texts (`minillm finetune` teaches that)")
    texts = [texts] if isinstance(texts, str) else texts
    return [
        Prediction(
            run.labels[p.argmax()], dict(zip(run.labels, p.tolist(), strict=True))
        )
        for p in softmax(label_logits(run, encoded(run, texts)))
    ]


def label_logits(run: Run, texts: Sequence[np.ndarray]) -> np.ndarray:
    """A classifier's logits for the ids of each text.   n texts -> (n, C) float64"""
    model = run.model
    logits = np.empty((len(texts), model.n_classes))
    with reading(model):
        for rows, batch in batches(run, texts):
            logits[rows] = model.label_logits(model.read(batch), batch).numpy()
    return logits


def measure(run: Run, rows: Sequence[tuple[str, str]]) -> dict:
    """How well a classifier tells the labels of texts: see `report`."""
    texts, labels = zip(*rows, strict=True)
    predicted = label_logits(run, encoded(run, texts)).argmax(axis=1)
    return _compared(labels, predicted, run.labels)


def majority(table: Table, labels: Sequence[str]) -> dict:
    """The same figures for whoever always says the commonest label of the training
    rows."""
    counts = Counter(label for _, label in table.train)
    commonest = max(labels, key=counts.__getitem__)
    predicted = np.full(len(table.val), labels.index(commonest))
    told = [label for _, label in table.val]
    return {"label": commonest, **_compared(told, predicted, labels)}


def _compared(told: Sequence[str], predicted, labels: Sequence[str]) -> dict:
    number = {label: i for i, label in enumerate(labels)}
    true = [number[label] for label in told]
    return report(confusion(true, predicted, len(labels)), labels)


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
