"""A bidirectional encoder: GPT's blocks without the causal mask.

Every position sees the whole sequence, so the model cannot be trained to predict the
next token; it learns to restore masked ones (Devlin et al. 2019).
"""

import numpy as np

from minillm.models.masked import MaskedModel
from minillm.nn import (
    Block,
    Embedding,
    Initializer,
    ModelConfig,
    Noise,
    drop,
    last_norm,
    position_table,
)
from minillm.tensor import Tensor


class Encoder(MaskedModel):
    """Position t sees every token: it can fill a gap and cannot continue a text."""

    def __init__(self, config: ModelConfig, rng: np.random.Generator, dtype=np.float32):
        self.config = config
        init = Initializer.from_config(config, rng, dtype)
        self.tokens = Embedding(config.vocab_size, config.d_model, init=init)
        self.positions = position_table(config, init)
        self.blocks = [
            Block(config, init, causal=False) for _ in range(config.n_layers)
        ]
        self.norm = last_norm(config, init)
        self.head = self.token_head(init)

    def hidden(
        self, ids, *, mask=None, noise: Noise | None = None, rows=None
    ) -> Tensor:
        """What the last layer makes of each token.   ids (B, T) -> (B, T, D)

        `mask` (B, T) is False at padding. Of `rows` alone: (N, D); see
        `through_blocks`.
        """
        x = drop(self.embed(self.checked(ids)), noise)  # (B, T, D)
        return self.through_blocks(x, mask, noise, rows)

    def pooled(self, x: Tensor, mask=None) -> Tensor:
        """The mean over a sequence's real tokens.   (B, T, D), mask (B, T) -> (B, D)"""
        if mask is None:
            return x.mean(axis=1)
        counts = np.maximum(mask.sum(axis=1, keepdims=True), 1)
        weights = (mask / counts).astype(x.dtype)[:, None, :]  # (B, 1, T)
        return (Tensor(weights) @ x).reshape(len(x), -1)
