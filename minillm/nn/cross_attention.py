"""Cross-attention: one sequence looks at another, a decoder at its source."""

from minillm.nn.config import ModelConfig, check_groups, head_width
from minillm.nn.init import Init, Initializer, initializer
from minillm.nn.layers import Linear
from minillm.nn.module import Module
from minillm.nn.noise import Noise
from minillm.ops import cross_attention
from minillm.tensor import Tensor


class CrossAttention(Module):
    """Queries from x, keys and values from a memory: what an encoder made of a text."""

    def __init__(
        self,
        width: int,
        n_heads: int,
        *,
        init: Init = None,
        bias: bool = True,
        n_kv_heads: int | None = None,
    ):
        self.n_heads = n_heads
        self.n_kv_heads = n_kv_heads or n_heads
        check_groups(n_heads, self.n_kv_heads)
        of_keys = self.n_kv_heads * head_width(width, n_heads)
        init = initializer(init)
        self.q = Linear(width, width, init=init, bias=bias)
        self.kv = Linear(width, 2 * of_keys, init=init, bias=bias)
        self.out = Linear(width, width, init=init, bias=bias, into_residual=True)

    @classmethod
    def from_config(cls, config: ModelConfig, init: Initializer) -> "CrossAttention":
        """That of a model of this shape."""
        return cls(
            config.d_model,
            config.n_heads,
            init=init,
            bias=config.bias,
            n_kv_heads=config.n_kv_heads,
        )

    def __call__(
        self, x: Tensor, memory: Tensor, mask=None, noise: Noise | None = None
    ) -> Tensor:
        """x (B, T, D), memory (B, S, D) -> (B, T, D). `mask` broadcasts to
        (B, H, T, S)."""
        return self.look(x, self.kv(memory), mask, noise)

    def look(self, x: Tensor, kv, mask=None, noise: Noise | None = None) -> Tensor:
        """The same with the memory's keys and values already at hand: kv (B, S, 2D), or
        with fewer heads (B, S, 2Gd)."""
        dropout = {} if noise is None else noise.for_attention()
        heads = {"n_heads": self.n_heads, "n_kv_heads": self.n_kv_heads}
        return self.out(cross_attention(self.q(x), kv, **heads, mask=mask, **dropout))
