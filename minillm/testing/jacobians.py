"""Jacobians, measured and as a pullback has them: what a diagnosis looks at."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minillm.testing.directions import reach_of
from minillm.testing.slopes import STEP

WHOLE, SAMPLE = 64, 12  # larger arrays are looked at in so many places only
CLEAR, ROUND = 1e3, 1e-6  # a slope is clear if it is that far above its doubt


@dataclass
class Jacobian:
    """d value / d x: as `measured` by central differences, each off by `doubt` at most,
    and as `pulled` by the pullback, all of shape (rows, columns), flat indices into the
    value and x. `slopes` and `doubts` are those of all numbers of the value."""

    rows: np.ndarray
    columns: np.ndarray
    slopes: np.ndarray
    doubts: np.ndarray
    pulled: np.ndarray
    value_shape: tuple
    x_shape: tuple

    @cached_property
    def measured(self) -> np.ndarray:
        return self.slopes[self.rows]

    @cached_property
    def doubt(self) -> np.ndarray:
        return self.doubts[self.rows]

    @property
    def is_whole(self) -> bool:
        shape = np.prod(self.value_shape, dtype=int), np.prod(self.x_shape, dtype=int)
        return self.measured.shape == shape

    @cached_property
    def size(self) -> float:
        return float(np.abs(self.measured).max(initial=0))

    @cached_property
    def clear(self) -> np.ndarray:
        """Where there is a slope for certain."""
        large = np.abs(self.measured) > 1e-9 * self.size
        return large & (np.abs(self.measured) > CLEAR * self.doubt)

    @cached_property
    def none(self) -> np.ndarray:
        """Where there is none for certain: next to nothing, and well known."""
        known = self.doubt <= ROUND * self.size
        return known & (np.abs(self.measured) <= self.doubt)

    def equals(self, other: np.ndarray) -> bool:
        """Whether this is what was measured, wherever that is known."""
        return bool(self.agrees(other).all())

    def agrees(self, other: np.ndarray) -> np.ndarray:
        """The places where the other one is what was measured."""
        allowed = ROUND * np.abs(self.measured) + 1e-9 * self.size + 2 * self.doubt
        return np.abs(other - self.measured) <= allowed

    def indices(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The indices into the value, (n, axes), and into x, of the chosen places."""
        rows, columns = np.nonzero(chosen)
        of_value = np.unravel_index(self.rows[rows], self.value_shape or (1,))
        of_x = np.unravel_index(self.columns[columns], self.x_shape or (1,))
        return np.stack(of_value, -1), np.stack(of_x, -1)


def measured(at: Callable, x: np.ndarray, value: np.ndarray, columns: np.ndarray):
    """(slopes, doubts) of each number of f(x), (value.size, columns), by two steps of
    each element of x. A kink counts as a doubt."""
    reach, value = reach_of(x).ravel(), value.ravel()
    slopes, doubts = [], []
    rounding = 8 * np.spacing(np.abs(value) + 1e-300)

    def sides(place: int, h: float):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved.flat[place] += sign * h
            ends.append((at(moved).ravel() - value, moved.flat[place]))
        (up, ahead), (down, behind) = ends
        return (up - down) / (ahead - behind), up + down

    for place in columns:
        h = STEP * reach[place]
        (once, even), (twice, even2) = sides(place, h), sides(place, 2 * h)
        slopes.append((4 * once - twice) / 3)  # without the term of h²
        kink = np.abs(4 * even - even2) / (4 * h)
        doubts.append(np.abs(once - twice) + rounding / h + kink)
    return np.stack(slopes, -1), np.nan_to_num(np.stack(doubts, -1), nan=np.inf)


def chosen_columns(size: int, worst: int, rng) -> np.ndarray:
    """All places of an array that is small, else some of them, the worst one too."""
    if size <= WHOLE:
        return np.arange(size)
    return np.unique([*rng.choice(size, SAMPLE, replace=False), worst])


def chosen_rows(slopes: np.ndarray, rng) -> np.ndarray:
    """All numbers of a value that is small, else those that the columns change most,
    and some by chance."""
    size = len(slopes)
    if size <= WHOLE:
        return np.arange(size)
    most = np.abs(slopes).argmax(0)
    return np.unique([*most, *rng.choice(size, SAMPLE, replace=False)])


def element_name(name: str, shape: tuple, place: int) -> str:
    index = ", ".join(map(str, np.unravel_index(place, shape)))
    return f"{name}[{index}]" if shape else name
