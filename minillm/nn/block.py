"""Transformer blocks: attention and feed-forward, each around a residual path."""

from collections.abc import Callable

from minillm import nn  # opened when used: nn.RMSNorm
from minillm.nn.attention import MultiHeadAttention
from minillm.nn.config import ModelConfig
from minillm.nn.init import Initializer
from minillm.nn.layers import FeedForward, LayerNorm, drop, new_norm
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
        norm: "LayerNorm | nn.RMSNorm",
        noise: "nn.Noise | None" = None,
    ) -> Tensor:  # (B, T, D) -> (B, T, D)
        if self.pre_norm:
            return x + drop(f(norm(x)), noise)
        return norm(x + drop(f(x), noise))


def last_norm(
    config: ModelConfig, init: Initializer
) -> "LayerNorm | nn.RMSNorm | None":
    """The norm that pre-norm blocks need after them; post-norm blocks end in a norm of
    their own."""
    return None if config.norm == "post" else new_norm(config, init)


def normed(x: Tensor, norm: "LayerNorm | nn.RMSNorm | None") -> Tensor:
    """The output of the blocks, after `last_norm`.   (..., D) -> (..., D)"""
    return x if norm is None else norm(x)


class Block(Residual):
    """Attention, then the feed-forward, each on a residual path."""

    def __init__(self, config: ModelConfig, init: Initializer, *, causal: bool):
        super().__init__(config)
        self.norm1 = new_norm(config, init)
        self.attention = MultiHeadAttention.from_config(config, init, causal=causal)
        self.norm2 = new_norm(config, init)
        self.feed_forward = FeedForward.from_config(config, init)

    def __call__(self, x: Tensor, mask=None, noise: "nn.Noise | None" = None) -> Tensor:
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
