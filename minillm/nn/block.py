"""The transformer block: attention and feed-forward, each around a residual path."""

from minillm.nn.attention import KeyValueCache, MultiHeadAttention
from minillm.nn.init import Initializer
from minillm.nn.layers import FeedForward, LayerNorm
from minillm.nn.module import Module
from minillm.nn.noise import Noise, drop
from minillm.tensor import Tensor


class Block(Module):
    """Pre-norm: x + f(norm(x)), as in GPT-2. Post-norm: norm(x + f(x)), as in BERT and
    the original transformer."""

    def __init__(
        self, width, n_heads, d_ff, *, init: Initializer, causal, bias=True, norm="pre"
    ):
        self.pre_norm = norm == "pre"
        self.norm1 = LayerNorm(width, init=init, bias=bias)
        self.attention = MultiHeadAttention(
            width, n_heads, init=init, causal=causal, bias=bias
        )
        self.norm2 = LayerNorm(width, init=init, bias=bias)
        self.feed_forward = FeedForward(width, d_ff, init=init, bias=bias)

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
