"""Batch: what every objective (`objectives.py`) makes of examples (`examples.py`) and
hands to a model."""

import dataclasses
from dataclasses import dataclass

import numpy as np

# The target of a position where nothing is to be predicted.
IGNORED = -1


@dataclass(frozen=True, eq=False)
class Batch:
    """B sequences of T tokens that go in, and what is to be predicted of them.

    `ids` (B, T) int32 go in. `targets` (B, T) int32 are the tokens to be predicted,
    IGNORED where none is; `n_targets` counts the others. `labels` (B,) int32 say the
    class of each whole sequence, `n_labels` counts them. Either may be None, with a
    count of 0; counts that are left out are made here.

    `mask` (B, T) bool is False at padding, `segments` (B, T) int32 tell a first text
    (0) from a second (1). For an encoder–decoder, `source` (B, S) int32 is what the
    encoder reads; `source_mask` (B, S) is False at padding. None where there is none.

    A shard keeps the counts of the whole batch, so that the losses of all shards add up
    to its mean; `first_row` is the place of its first sequence in the whole batch.
    """

    ids: np.ndarray
    targets: np.ndarray | None = None
    n_targets: int | None = None
    first_row: int = 0
    mask: np.ndarray | None = None
    segments: np.ndarray | None = None
    labels: np.ndarray | None = None
    n_labels: int | None = None
    source: np.ndarray | None = None
    source_mask: np.ndarray | None = None

    def __post_init__(self):
        targets, labels = self.targets, self.labels
        if self.n_targets is None:
            n = 0 if targets is None else np.count_nonzero(targets != IGNORED)
            object.__setattr__(self, "n_targets", int(n))
        if self.n_labels is None:
            object.__setattr__(self, "n_labels", 0 if labels is None else len(labels))

    def shard(self, rank: int, n: int) -> "Batch":
        """Shard `rank` of `n` nearly equal ones: rows as views."""
        n_rows = len(self.ids)
        rows = slice(rank * n_rows // n, (rank + 1) * n_rows // n)
        cut = {
            name: value[rows]
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray)
        }
        return dataclasses.replace(self, first_row=self.first_row + rows.start, **cut)


Framed = Batch  # texts in their frame, of which nothing is to be predicted yet
