"""What GPT and the encoder share: tables, transformer blocks, an output to the tokens.

Pre-norm and learned positions unless the configuration says otherwise; the output is
tied to the token table where it says `tied`.
"""

import numpy as np

from minillm.models.config import ModelConfig
from minillm.models.language_model import LanguageModel
from minillm.models.parts import (
    initializer,
    last_norm,
    normed,
    position_table,
    to_key_mask,
    token_head,
    transformer_blocks,
)
from minillm.nn import Embedding, Noise, drop
from minillm.tensor import Tensor


class Transformer(LanguageModel):
    """Token and position vectors, blocks, and the output. With `causal`, position t
    sees the tokens up to t; else it sees them all."""

    causal: bool

    def __init__(self, config: ModelConfig, rng: np.random.Generator, dtype=np.float32):
        self.config = config
        init = initializer(config, rng, dtype)
        self.tokens = Embedding(config.vocab_size, config.d_model, init=init)
        self.positions = position_table(config, init)
        self.blocks = transformer_blocks(config, init, causal=self.causal)
        self.norm = last_norm(config, init)
        self.head = token_head(config, init, self.tokens)

    def hidden(self, ids, *, mask=None, noise: Noise | None = None) -> Tensor:
        """What the last layer makes of each token.   ids (B, T) -> (B, T, D)

        `mask` (B, T) is False where a token is padding, which nothing may look at.
        """
        ids = self.on_device(ids)
        x = self.tokens(ids) + self.positions[: ids.shape[1]]
        x = drop(x, noise)
        key_mask = to_key_mask(mask)
        for block in self.blocks:
            x = block(x, key_mask, noise)
        return normed(x, self.norm)
