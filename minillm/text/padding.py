"""Padding: texts of several lengths in the rows of one batch."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from minillm.errors import UsageError
from minillm.text.batch import Batch


def pad(
    rows: Sequence[tuple[np.ndarray, np.ndarray]], pad_id: int, multiple_of: int = 1
) -> Batch:
    """Framed texts, pairs of ids and segments, in rows of the longest's length, rounded
    up: padded on the right with [PAD] and segment 0. Nothing is to be predicted yet.

    Raises UsageError for a `multiple_of` below 1.
    """
    if multiple_of < 1:
        raise UsageError(f"multiple_of must be at least 1, got {multiple_of}")
    longest = max((len(ids) for ids, _ in rows), default=0)
    shape = (len(rows), -(-longest // multiple_of) * multiple_of)
    batch = Batch(
        ids=np.full(shape, pad_id, np.int32),
        segments=np.zeros(shape, np.int32),
        mask=np.zeros(shape, bool),
    )
    for i, (ids, segments) in enumerate(rows):
        batch.ids[i, : len(ids)] = ids
        batch.segments[i, : len(ids)] = segments
        batch.mask[i, : len(ids)] = True
    return batch


def trimmed(batch: Batch) -> Batch:
    """The same without the last columns, where they are padding in every row."""
    cut = {}
    for mask, names in (
        (batch.mask, ("ids", "targets", "mask", "segments")),
        (batch.source_mask, ("source", "source_mask")),
    ):
        if mask is not None:
            used = np.flatnonzero(mask.any(0))
            columns = slice(used[-1] + 1 if used.size else 0)
            for name in names:
                if getattr(batch, name) is not None:
                    cut[name] = getattr(batch, name)[:, columns]
    return dataclasses.replace(batch, **cut)
