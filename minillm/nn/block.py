"""Transformer blocks: attention and feed-forward, each around a residual path."""

from collections.abc import Callable

import numpy as np

from minillm import nn  # nn.DecoderCache: a file for decoding alone
from minillm.nn.attention import CrossAttention, MultiHeadAttention
from minillm.nn.config import ModelConfig
from minillm.nn.init import Initializer
from minillm.nn.layers import FeedForward, Noise, Norm, drop, new_norm
from minillm.nn.module import Module
from minillm.tensor import Tensor


class Residual(Module):
    """Pre-norm: x + f(norm(x)), as in GPT-2. Post-norm: norm(x + f(x)), as in BERT and
    the original transformer."""

    def __init__(self, config: ModelConfig):
        self.pre_norm = config.norm == "pre"

    def around(
        self,
        f: Callable[[Tensor], Tensor],
        x: Tensor,
        norm: Norm,
        noise: Noise | None = None,
    ) -> Tensor:  # (B, T, D) -> (B, T, D)
        if self.pre_norm:
            return x + drop(f(norm(x)), noise)
        return norm(x + drop(f(x), noise))


def last_norm(config: ModelConfig, init: Initializer) -> Norm | None:
    """The norm that pre-norm blocks need after them; post-norm blocks end in a norm of
    their own."""
    return None if config.norm == "post" else new_norm(config, init)


def normed(x: Tensor, norm: Norm | None) -> Tensor:
    """The output of the blocks, after `last_norm`.   (..., D) -> (..., D)"""
    return x if norm is None else norm(x)


class Block(Residual):
    """Attention, then the feed-forward, each on a residual path."""

    def __init__(self, config: ModelConfig, init: Initializer, *, causal: bool):
        super().__init__(config)
        self.norm1 = new_norm(config, init)
        self.attention = MultiHeadAttention.of(config, init, causal=causal)
        self.norm2 = new_norm(config, init)
        self.feed_forward = FeedForward.of(config, init)

    def __call__(self, x: Tensor, mask=None, noise: Noise | None = None) -> Tensor:
        # (B, T, D) -> (B, T, D)
        x = self.around(lambda h: self.attention(h, mask, noise), x, self.norm1, noise)
        return self.around(self.feed_forward, x, self.norm2, noise)

    def decode(
        self, x: Tensor, cache: "nn.KeyValueCache", columns: "nn.Columns"
    ) -> Tensor:
        """The block for tokens that follow those in the cache."""

        def attend(h: Tensor) -> Tensor:
            return self.attention.decode(h, cache, columns)

        x = self.around(attend, x, self.norm1)
        return self.around(self.feed_forward, x, self.norm2)


class DecoderBlock(Block):
    """A block that looks at a memory between attention and feed-forward (Vaswani et al.
    2017, section 3.1)."""

    def __init__(self, config: ModelConfig, init: Initializer, *, causal: bool = True):
        super().__init__(config, init, causal=causal)
        self.cross_norm = new_norm(config, init)
        self.cross = CrossAttention.of(config, init)

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
    ) -> "nn.DecoderCache":
        """An empty cache for the tokens of a target, beside a memory.   (B, S, D)"""
        target = self.attention.new_cache(len(memory), capacity, padding)
        return nn.DecoderCache(target, self.cross.kv(memory).data, memory_key_mask)

    def decode(
        self, x: Tensor, cache: "nn.DecoderCache", columns: "nn.Columns"
    ) -> Tensor:
        """The block for tokens that follow those in the cache, which has the memory."""

        def attend(h: Tensor) -> Tensor:
            return self.attention.decode(h, cache.target, columns)

        def look(h: Tensor) -> Tensor:
            return self.cross.look(h, cache.kv, cache.memory_key_mask)

        x = self.around(attend, x, self.norm1)
        x = self.around(look, x, self.cross_norm)
        return self.around(self.feed_forward, x, self.norm2)
