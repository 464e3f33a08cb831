"""Transformer blocks: attention and feed-forward, each around a residual path."""

from minillm.nn.attention import CrossAttention, MultiHeadAttention
from minillm.nn.cache import DecoderCache, KeyValueCache
from minillm.nn.config import ModelConfig
from minillm.nn.init import Initializer
from minillm.nn.layers import FeedForward, LayerNorm
from minillm.nn.module import Module
from minillm.nn.noise import Noise, drop
from minillm.tensor import Tensor


class Block(Module):
    """Pre-norm: x + f(norm(x)), as in GPT-2. Post-norm: norm(x + f(x)), as in BERT and
    the original transformer."""

    def __init__(self, config: ModelConfig, init: Initializer, *, causal: bool):
        width, bias = config.d_model, config.bias
        self.pre_norm = config.norm == "pre"
        self.norm1 = LayerNorm(width, init=init, bias=bias)
        self.attention = MultiHeadAttention(
            width, config.n_heads, init=init, causal=causal, bias=bias
        )
        self.norm2 = LayerNorm(width, init=init, bias=bias)
        self.feed_forward = FeedForward(
            width, config.feed_forward_width, init=init, bias=bias
        )

    def __call__(self, x: Tensor, mask=None, noise: Noise | None = None) -> Tensor:
        # (B, T, D) -> (B, T, D)
        x = self._residual(x, self.norm1, lambda h: self.attention(h, mask), noise)
        return self._residual(x, self.norm2, self.feed_forward, noise)

    def decode(self, x: Tensor, cache: KeyValueCache) -> Tensor:
        """The block for tokens that follow those in the cache."""
        x = self._residual(x, self.norm1, lambda h: self.attention.decode(h, cache))
        return self._residual(x, self.norm2, self.feed_forward)

    def _residual(self, x, norm, f, noise=None):
        if self.pre_norm:
            return x + drop(f(norm(x)), noise)
        return norm(x + drop(f(x), noise))


class DecoderBlock(Block):
    """A block that looks at a memory between attention and feed-forward (Vaswani et al.
    2017, section 3.1)."""

    def __init__(self, config: ModelConfig, init: Initializer, *, causal: bool = True):
        super().__init__(config, init, causal=causal)
        width, bias = config.d_model, config.bias
        self.cross_norm = LayerNorm(width, init=init, bias=bias)
        self.cross = CrossAttention(width, config.n_heads, init=init, bias=bias)

    def __call__(
        self,
        x: Tensor,
        memory: Tensor,
        mask=None,
        memory_key_mask=None,
        noise: Noise | None = None,
    ) -> Tensor:
        # (B, T, D), (B, S, D) -> (B, T, D)
        x = self._residual(x, self.norm1, lambda h: self.attention(h, mask), noise)
        x = self._residual(
            x, self.cross_norm, lambda h: self.cross(h, memory, memory_key_mask), noise
        )
        return self._residual(x, self.norm2, self.feed_forward, noise)

    def decode(self, x: Tensor, cache: DecoderCache) -> Tensor:
        """The block for tokens that follow those in the cache, which has the memory."""
        x = self._residual(x, self.norm1, lambda h: self.attention.decode(h, cache))
        x = self._residual(
            x,
            self.cross_norm,
            lambda h: self.cross.look(h, cache.kv, cache.memory_key_mask),
        )
        return self._residual(x, self.norm2, self.feed_forward)


def last_norm(config: ModelConfig, init: Initializer) -> LayerNorm | None:
    """What pre-norm blocks need after them; post-norm blocks end in a norm of their
    own."""
    if config.norm == "post":
        return None
    return LayerNorm(config.d_model, init=init, bias=config.bias)


def normed(x: Tensor, norm: LayerNorm | None) -> Tensor:
    """What comes out of the blocks, after `last_norm`.   (..., D) -> (..., D)"""
    return x if norm is None else norm(x)
