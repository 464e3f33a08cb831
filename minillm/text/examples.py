"""Windows of token ids: which tokens a training step sees, and what validation sees."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minillm.errors import DataError


class Windows:
    """Training windows of T+1 tokens (T = context), with stride T, in a seeded order.

    Each epoch sees all windows once, in a permutation of its own and from an offset of
    its own below T: another epoch cuts the text elsewhere. `n` windows make an epoch.
    Raises DataError for fewer than T+1 tokens.
    """

    def __init__(self, ids: np.ndarray, context: int, seed: int) -> None:
        _check_length(ids, context, "training")
        # One window less than fits, so that every offset leaves room for n of them.
        self.n = max(1, len(ids) // context - 1)
        self._n_offsets = min(context, len(ids) - self.n * context)
        self._context = context
        self._seed = seed
        self._windows = sliding_window_view(ids, context + 1)
        self._cached = (-1, np.empty(0, np.int64))

    def at(self, step: int, batch_size: int) -> np.ndarray:
        """The batch of a step, a pure function of it: (B, T+1) int32.

        A batch goes on into the next epoch where one ends.
        """
        epochs, places = divmod(
            np.arange(step * batch_size, (step + 1) * batch_size), self.n
        )
        starts = np.empty(batch_size, np.int64)
        for epoch in range(epochs[0], epochs[-1] + 1):
            rows = epochs == epoch
            starts[rows] = self._starts(epoch)[places[rows]]
        return self._windows[starts].astype(np.int32, copy=False)

    def _starts(self, epoch: int) -> np.ndarray:
        """Where the windows of an epoch begin, in their order: (n,)."""
        cached_epoch, starts = self._cached
        if cached_epoch != epoch:
            rng = np.random.default_rng((self._seed, epoch))
            starts = rng.integers(self._n_offsets) + self._context * rng.permutation(
                self.n
            )
            self._cached = (epoch, starts)
        return starts


def validation_windows(
    ids: np.ndarray, context: int, limit: int | None = None
) -> np.ndarray:
    """Windows that predict each token once, in order: (n, T+1) int32.

    With a `limit`, at most that many, spread evenly over the text. Raises DataError for
    fewer than T+1 tokens.
    """
    _check_length(ids, context, "validation")
    windows = sliding_window_view(ids, context + 1)[::context]
    if limit is not None and limit < len(windows):
        windows = windows[np.arange(limit) * len(windows) // limit]
    return windows.astype(np.int32)


def _check_length(ids: np.ndarray, context: int, part: str) -> None:
    if len(ids) < context + 1:
        raise DataError(
            f"the {part} text is too short: {len(ids):,} tokens, but a context of"
            f" {context} needs at least {context + 1:,}; give more text or a shorter"
            " context"
        )
