"""A bidirectional encoder: GPT's blocks without the causal mask.

Every position sees the whole sequence, so the model cannot be trained to predict the
next token; it learns to restore masked ones (Devlin et al. 2019).
"""

import numpy as np

from minillm.models.transformer import Transformer
from minillm.tensor import Tensor


class Encoder(Transformer):
    """Position t sees every token: it can fill a gap and cannot continue a text."""

    causal = False

    def pooled(self, x: Tensor, mask=None) -> Tensor:
        """The mean over a sequence's real tokens.   (B, T, D), mask (B, T) -> (B, D)"""
        if mask is None:
            return x.mean(axis=1)
        counts = np.maximum(mask.sum(axis=1, keepdims=True), 1)
        shares = (mask / counts).astype(x.dtype)[:, None, :]  # (B, 1, T)
        return (Tensor(shares) @ x).reshape(len(x), -1)
