"""GPT: a transformer whose positions see what stands before them, and which can
therefore go on with a text.

Radford et al. 2018 and 2019.
"""

import numpy as np

from minillm.models.parts import normed, position_vectors
from minillm.models.transformer import Transformer
from minillm.nn import KeyValueCache
from minillm.tensor import no_grad


class GPT(Transformer):
    """A decoder-only language model: position t sees the tokens up to t."""

    causal = True
    continues_text = True

    def new_cache(self, n_sequences: int, padding=None) -> list[KeyValueCache]:
        """One empty cache for each layer, with room for a whole context.

        `padding` (B,) counts the columns to the left of each sequence's first token,
        where sequences differ in length.
        """
        config = self.config
        head_width = config.d_model // config.n_heads
        return [
            KeyValueCache(
                n_sequences,
                config.n_heads,
                config.context,
                head_width,
                self.head.dtype,
                padding,
            )
            for _ in self.blocks
        ]

    def decode(self, ids, cache: list[KeyValueCache]) -> np.ndarray:
        """Logits after the last of these tokens, which follow those in the cache.

        ids (B, t) -> (B, V), on the host
        """
        begin, padding = cache[0].length, cache[0].padding
        ids = self.on_device(ids, begin)
        with no_grad():
            x = self.tokens(ids)
            x = x + position_vectors(self.positions, begin, ids.shape[1], padding)
            for block, layer_cache in zip(self.blocks, cache, strict=True):
                x = block.decode(x, layer_cache)
            logits = self.project(normed(x[:, -1], self.norm))
        return logits.numpy()
