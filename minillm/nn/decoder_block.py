"""The block of an encoder–decoder's decoder."""

import numpy as np

from minillm.nn.block import Block
from minillm.nn.cache import Columns, DecoderCache
from minillm.nn.config import ModelConfig
from minillm.nn.cross_attention import CrossAttention
from minillm.nn.init import Initializer
from minillm.nn.layers import new_norm
from minillm.nn.noise import Noise
from minillm.tensor import Tensor


class DecoderBlock(Block):
    """A block that looks at a memory between attention and feed-forward (Vaswani et al.
    2017, section 3.1)."""

    def __init__(self, config: ModelConfig, init: Initializer, *, causal: bool = True):
        super().__init__(config, init, causal=causal)
        self.cross_norm = new_norm(config, init)
        self.cross = CrossAttention.from_config(config, init)

    def __call__(
        self,
        x: Tensor,
        memory: Tensor,
        mask=None,
        memory_key_mask=None,
        noise: Noise | None = None,
    ) -> Tensor:
        # (B, T, D), (B, S, D) -> (B, T, D)
        def look(h: Tensor) -> Tensor:
            return self.cross(h, memory, memory_key_mask, noise)

        x = self.around(lambda h: self.attention(h, mask, noise), x, self.norm1, noise)
        x = self.around(look, x, self.cross_norm, noise)
        return self.around(self.feed_forward, x, self.norm2, noise)

    def new_cache(
        self,
        memory: Tensor,
        capacity: int,
        memory_key_mask=None,
        padding: np.ndarray | None = None,
    ) -> DecoderCache:
        """An empty cache for the tokens of a target, beside a memory.   (B, S, D)"""
        target = self.attention.new_cache(len(memory), capacity, padding)
        return DecoderCache(target, self.cross.kv(memory).data, memory_key_mask)

    def decode(self, x: Tensor, cache: DecoderCache, columns: Columns) -> Tensor:
        """The block for tokens that follow those in the cache, which has the memory."""

        def attend(h: Tensor) -> Tensor:
            return self.attention.decode(h, cache.target, columns)

        def look(h: Tensor) -> Tensor:
            return self.cross.look(h, cache.kv, cache.memory_key_mask)

        x = self.around(attend, x, self.norm1)
        x = self.around(look, x, self.cross_norm)
        return self.around(self.feed_forward, x, self.norm2)
