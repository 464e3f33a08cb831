"""GPT: a transformer with a causal mask, which can therefore go on with a text.

Radford et al. 2018 and 2019.
"""

import numpy as np

from minillm import nn
from minillm.models.language_model import LanguageModel
from minillm.nn import (
    Block,
    Embedding,
    Initializer,
    ModelConfig,
    drop,
    last_norm,
    normed,
    position_table,
    to_key_mask,
)
from minillm.tensor import Tensor, no_grad


class GPT(LanguageModel):
    """A decoder-only language model: position t sees the tokens up to t.

    Pre-norm and learned positions unless the configuration says otherwise; the output
    is the token table where it says `tied`.
    """

    continues_text = True

    def __init__(self, config: ModelConfig, rng: np.random.Generator, dtype=np.float32):
        self.config = config
        init = Initializer.from_config(config, rng, dtype)
        self.tokens = Embedding(config.vocab_size, config.d_model, init=init)
        self.positions = position_table(config, init)
        self.blocks = [Block(config, init, causal=True) for _ in range(config.n_layers)]
        self.norm = last_norm(config, init)
        self.head = self.token_head(init)

    def hidden(self, ids, *, mask=None, noise: "nn.Noise | None" = None) -> Tensor:
        """What the last layer makes of each token.   ids (B, T) -> (B, T, D)

        `mask` (B, T) is False where a token is padding, which nothing may look at.
        """
        x = drop(self.embed(self.checked(ids)), noise)  # (B, T, D)
        key_mask = to_key_mask(mask)  # (B, 1, 1, T)
        for block in self.blocks:
            x = block(x, key_mask, noise)  # (B, T, D)
        return normed(x, self.norm)

    def new_cache(self, n_sequences: int, padding=None) -> list["nn.KeyValueCache"]:
        """One empty cache for each layer, with room for a whole context.

        `padding` (B,) counts the columns to the left of each sequence's first token,
        where sequences differ in length.
        """
        room = self.config.context
        return [b.attention.new_cache(n_sequences, room, padding) for b in self.blocks]

    def decode(self, ids, cache: list["nn.KeyValueCache"]) -> np.ndarray:
        """Logits after the last of these tokens, which follow those in the cache.

        ids (B, t) -> (B, V), on the host
        """
        ids = self.checked(ids, cache[0].length)
        columns = nn.Columns(cache[0], ids.shape[1])
        with no_grad():
            x = self.embed(ids, columns)
            for block, layer_cache in zip(self.blocks, cache, strict=True):
                x = block.decode(x, layer_cache, columns)
            logits = self.project(normed(x[:, -1], self.norm))
        return logits.numpy()
