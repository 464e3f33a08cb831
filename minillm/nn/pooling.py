"""Pooling: one vector for each sequence, of those of its tokens."""

import numpy as np

from minillm.ops import embedding
from minillm.tensor import Tensor


def last_tokens(x: Tensor, mask: np.ndarray | None = None) -> Tensor:
    """The vector of each sequence's last real token: `mask` is False at padding, which
    stands on the right.   (B, T, D), mask (B, T) -> (B, D)"""
    n_rows, length, _ = x.shape
    last = np.full(n_rows, length - 1)
    if mask is not None:
        last -= mask[:, ::-1].argmax(axis=1)
    rows = x.reshape(-1, x.shape[-1])
    return embedding(rows, ids=np.arange(n_rows) * length + last)
