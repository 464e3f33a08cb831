"""Random inputs of ops, drawn by one kind of choice: a whole number in a range.

A NumPy `Generator` makes that choice in `minillm gradcheck`; in the tests Hypothesis
does, which then looks for the smallest case that fails.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Domain:
    """Where an op has a gradient: from `low` to `high`, at least `gap` from zero, and,
    where ties are kinks, all numbers `distinct`."""

    low: float = -2.0
    high: float = 2.0
    gap: float = 0.0
    distinct: bool = False


ANYWHERE = Domain()
POSITIVE = Domain(low=0.2, high=3.0)
NOT_NEAR_ZERO = Domain(gap=0.1)
DISTINCT = Domain(distinct=True)


class Choices:
    """Draws shapes, arrays and settings. `integer(low, high)` includes both ends."""

    def __init__(self, integer):
        self.integer = integer

    def one_of(self, *options):
        return options[self.integer(0, len(options) - 1)]

    def shape(self, min_dims: int = 0, max_dims: int = 3) -> tuple:
        n = self.integer(min_dims, max_dims)
        return tuple(self.integer(1, 4) for _ in range(n))

    def broadcastable(self, n: int = 2, max_dims: int = 3) -> list[tuple]:
        """n shapes that broadcast together."""
        full = self.shape(max_dims=max_dims)
        return [self._shrunk(full) for _ in range(n)]

    def _shrunk(self, full: tuple) -> tuple:
        kept = full[self.integer(0, len(full)) :]
        return tuple(1 if self.integer(0, 3) == 3 else side for side in kept)

    def axis(self, ndim: int) -> int:
        return self.integer(-ndim, ndim - 1)

    def axes(self, ndim: int):
        """None, one axis or several, counted from either end."""
        kind = self.integer(0, 2) if ndim else 0
        if kind == 0:
            return None
        if kind == 1:
            return self.axis(ndim)
        chosen = self.permutation(ndim)[: self.integer(1, ndim)]
        return tuple(axis - ndim * self.integer(0, 1) for axis in chosen)

    def permutation(self, n: int) -> list[int]:
        rest = list(range(n))
        return [rest.pop(self.integer(0, len(rest) - 1)) for _ in range(n)]

    def numbers(self, shape: tuple, domain: Domain = ANYWHERE) -> np.ndarray:
        """float64. The choice is a seed: a wrong rule is wrong for almost any numbers,
        and those on which a right one fails are kept away by the domain."""
        rng = self.generator()
        if not domain.distinct:
            x = rng.uniform(domain.low, domain.high, shape)
            return np.asarray(x + np.copysign(domain.gap, x))
        size = int(np.prod(shape))
        places = rng.permutation(size) + rng.uniform(0.1, 0.9, size)
        x = domain.low + (domain.high - domain.low) * places / max(size, 1)
        return x.reshape(shape)

    def ids(self, n: int, shape: tuple) -> np.ndarray:
        return self.generator().integers(0, n, shape, dtype=np.int32)

    def mask(self, shape: tuple) -> np.ndarray:
        return self.generator().random(shape) < 0.6

    def generator(self) -> np.random.Generator:
        return np.random.default_rng(self.integer(0, 2**16))


def seeded(*seed: int) -> Choices:
    """Choices made by a NumPy generator."""
    rng = np.random.default_rng(seed)
    return Choices(lambda low, high: int(rng.integers(low, high, endpoint=True)))
