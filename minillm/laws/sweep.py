"""Sweeps of the learning rate: several rows of one size, the best of which counts.

A law is about models that are trained well. Rows of equal sizes are repeats where their
settings are equal, and may all count; where the settings differ, only the best does.
"""

import re
from collections.abc import Sequence

import numpy as np

from minillm.errors import option
from minillm.laws.quantities import quantity_of
from minillm.laws.runs_table import Table

# Words in columns' names.
RATES = {"lr", "eta", "η"}
SETTINGS = {
    *RATES,
    *("batch", "warmup", "decay", "wd", "beta1", "beta2", "dropout", "schedule"),
    *("optimizer", "momentum", "init"),
}
RISES = {"bleu", "rouge", "score", "reward", "f1"}  # the better, the higher
# Sizes nearer than this to one another are one: steps × batch are seldom round.
SAME = 1.01


def alike(values: np.ndarray, factor: float) -> np.ndarray:
    """(n,): the groups of values nearer than a factor, counted from 0 at the
    smallest."""
    first = []
    for value in np.unique(values):
        if not first or value > factor * first[-1]:
            first.append(value)
    return np.searchsorted(first, values, side="right") - 1


def medians(x, y) -> tuple[np.ndarray, np.ndarray]:
    """The different x, ascending, and the median y at each."""
    x, y = np.asarray(x), np.asarray(y)
    sizes = np.unique(x)
    return sizes, np.array([np.median(y[x == size]) for size in sizes])


def best_of_each(
    table: Table, sizes: Sequence[str], y: str, rows: np.ndarray
) -> tuple[np.ndarray, list[dict]]:
    """The rows (counted from 0) with the best y of their sizes, and the others with
    reasons.

    Rows of one setting are repeats, with a median: where it is the best, all of them
    stay.
    """
    measured = table.positive(y, rows)
    better = -measured if _rises(y) else measured
    cell, setting = _cells(table, sizes, rows), _settings(table, rows, SETTINGS)
    kept = np.zeros(len(rows), bool)
    for one in np.unique(cell):
        here = cell == one
        medians = {s: np.median(better[here & (setting == s)]) for s in setting[here]}
        kept |= here & (setting == min(medians, key=medians.get))
    best = f"best {y}" + (" (the highest)" if _rises(y) else "")
    reason = f"not the {best} of its {' and '.join(sizes)}"
    excluded = [{**table.numbered(row), "reason": reason} for row in rows[~kept]]
    return rows[kept], excluded


def swept(table: Table, sizes: Sequence[str], y: str, rows: np.ndarray) -> list[str]:
    """The warning that rows of equal sizes have different learning rates."""
    names = _named(table, RATES)
    if not names or set(names) & set(sizes):
        return []
    cell, rate = _cells(table, sizes, rows), _settings(table, rows, RATES)
    several = [one for one in np.unique(cell) if len(np.unique(rate[cell == one])) > 1]
    if not several:
        return []
    which = " and ".join(sizes)
    return [
        f"{np.isin(cell, several).sum()} rows share their {which} with a row of "
        f"another {names[0]}, and are fitted as equals: add {option('best', True)} to "
        f"fit those of the "
        f"best {y} alone"
    ]


def _rises(y: str) -> bool:
    known = quantity_of(y)
    return known == "accuracy" or (known is None and bool(_words(y) & RISES))


def _words(name: str) -> set[str]:
    """The words of a name; a learning rate is called lr."""
    name = re.sub(r"learning[\W_]*rate|学习率|^rate$", " lr ", name.casefold())
    return set(re.split(r"[\W_]+", name))


def _named(table: Table, words: set[str]) -> list[str]:
    """The columns that have one of these words in their names."""
    return [name for name in table.columns if _words(name) & words]


def _cells(table: Table, sizes: Sequence[str], rows: np.ndarray) -> np.ndarray:
    """(rows,): the group of each row by its sizes."""
    places = np.stack([alike(table.positive(name, rows), SAME) for name in sizes])
    return np.unique(places, axis=1, return_inverse=True)[1].ravel()


def _settings(table: Table, rows: np.ndarray, words: set[str]) -> np.ndarray:
    """(rows,): the group of each row by its settings; without any, each its own."""
    names = _named(table, words)
    if not names:
        return np.arange(len(rows))
    groups = np.stack([table.groups(name, rows) for name in names])
    return np.unique(groups, axis=1, return_inverse=True)[1].ravel()
