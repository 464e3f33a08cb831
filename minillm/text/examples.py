"""Examples: the windows that a training step sees, and that validation sees.

Each epoch sees all examples once, in a seeded order of its own. What a step sees is a
pure function of its number: a resumed run needs nothing else.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minillm.errors import DataError


class Shuffled:
    """The items of a list, such as pairs of a source and a target."""

    def __init__(self, items: Sequence, seed: int) -> None:
        self.n = len(items)
        self._items = items
        self._seed = seed
        self._cached = (-1, np.empty(0, np.int64))

    def at(self, step: int, batch_size: int) -> Any:
        """The examples of a step; they go on into the next epoch where one ends."""
        return [self._items[i] for i in self._places(step, batch_size)]

    def _places(self, step: int, batch_size: int) -> np.ndarray:
        epochs, ranks = divmod(
            np.arange(step * batch_size, (step + 1) * batch_size), self.n
        )
        places = np.empty(batch_size, np.int64)
        for epoch in range(epochs[0], epochs[-1] + 1):
            rows = epochs == epoch
            places[rows] = self._epoch(epoch)[ranks[rows]]
        return places

    def _epoch(self, epoch: int) -> np.ndarray:
        """The places of an epoch's examples, in its order: (n,)."""
        cached_epoch, places = self._cached
        if cached_epoch != epoch:
            places = self._order(np.random.default_rng((self._seed, epoch)))
            self._cached = (epoch, places)
        return places

    def _order(self, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(self.n)


class Windows(Shuffled):
    """Windows of T+1 tokens of a text (T = context), with stride T.

    Each epoch begins at an offset of its own below T: another epoch cuts the text
    elsewhere. `n` windows make an epoch. Raises DataError for fewer than T+1 tokens.
    """

    def __init__(self, ids: np.ndarray, context: int, seed: int) -> None:
        _check_length(ids, context, "training")
        super().__init__(sliding_window_view(ids, context + 1), seed)
        # One window less than fits, so that every offset leaves room for n of them.
        self.n = max(1, len(ids) // context - 1)
        self._n_offsets = min(context, len(ids) - self.n * context)
        self._context = context

    def at(self, step: int, batch_size: int) -> np.ndarray:
        """The windows of a step: (B, T+1) int32."""
        windows = self._items[self._places(step, batch_size)]
        return windows.astype(np.int32, copy=False)

    def _order(self, rng: np.random.Generator) -> np.ndarray:
        """Where the windows begin."""
        return rng.integers(self._n_offsets) + self._context * rng.permutation(self.n)


def validation_windows(
    ids: np.ndarray, context: int, limit: int | None = None
) -> np.ndarray:
    """Windows that predict each token once, in order: (n, T+1) int32.

    With a `limit`, at most that many, spread evenly over the text. Raises DataError for
    fewer than T+1 tokens.
    """
    _check_length(ids, context, "validation")
    windows = sliding_window_view(ids, context + 1)[::context]
    return windows[spread(len(windows), limit)].astype(np.int32)


def spread(n: int, limit: int | None) -> np.ndarray:
    """The numbers below n, or `limit` of them at equal distances."""
    if limit is None or limit >= n:
        return np.arange(n)
    return np.arange(limit) * n // limit


def _check_length(ids: np.ndarray, context: int, part: str) -> None:
    if len(ids) < context + 1:
        raise DataError(
            f"the {part} text is too short: {len(ids):,} tokens, but a context of"
            f" {context} needs at least {context + 1:,}; give more text or a shorter"
            " context"
        )
