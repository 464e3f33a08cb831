"""Directions of a gradient check: which elements move together, and how far.

One step for all would be too long for small numbers or too short for large ones, and a
wrong slope would hide behind much larger ones. So each element moves in proportion to
itself; only those of like slope move together, each so far that all count the same.
"""

from collections.abc import Iterable

import numpy as np

# Elements move together where they change the value alike, within so many powers of
# ten; the smallest share the last of so many groups.
POWERS, GROUPS = 3, 10


def reach_of(x: np.ndarray) -> np.ndarray:
    """How far each element goes at most: as far as it is large; a zero, as far as most
    of its neighbours do, or 1."""
    size = np.abs(x)
    normal = size >= np.finfo(x.dtype).tiny  # no step fits into a smaller one
    return np.where(normal, size, median(size[normal]) or 1.0)


def median(sizes: np.ndarray) -> float:
    """The lower median of those above zero, 0 where there are none."""
    some = sizes[sizes > 0]
    middle = (some.size - 1) // 2
    return float(np.partition(some, middle)[middle]) if some.size else 0.0


def groups(
    x: np.ndarray, gradient: np.ndarray, reach: np.ndarray
) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """The places that move together, and by how much each.

    They are grouped by how much they should change the value. Those that should not
    change it, and zeros, where functions have kinks, are groups of their own.
    """
    change = np.abs(gradient) * reach
    flat = change == 0
    size = np.where(flat, reach, change)
    level = np.floor((np.log10(size.max()) - np.log10(size)) / POWERS)
    level = np.minimum(level, GROUPS - 1) + GROUPS * flat + 2 * GROUPS * (x == 0)
    for group in np.unique(level):
        places = np.flatnonzero(level == group)
        # The steeper an element, the less of its reach it goes: all count the same.
        share = np.where(flat[places], 1.0, size[places].min() / size[places])
        yield places, reach[places] * np.maximum(share, 10.0**-POWERS)
