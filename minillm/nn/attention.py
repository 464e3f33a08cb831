"""Multi-head attention: the layers around the ops."""

import numpy as np

from minillm import backend, nn  # opened when used: nn.RMSNorm, the cache
from minillm.nn.config import ModelConfig, check_groups, head_width
from minillm.nn.init import Init, Initializer, initializer
from minillm.nn.layers import Linear
from minillm.nn.module import Module
from minillm.ops import self_attention
from minillm.tensor import Tensor


class MultiHeadAttention(Module):
    """Queries, keys and values from x, attention in every head, one projection back.

    With `n_kv_heads`, G of them, each head of keys and values is shared by H/G heads of
    queries, one after another: grouped queries (Ainslie et al. 2023), which make the
    cache of decoding so much smaller. G = 1 is multi-query attention (Shazeer 2019).

    The causal mask is applied in the op (`ops/attention.py`), before the softmax.
    """

    def __init__(
        self,
        width: int,
        n_heads: int,
        *,
        init: Init = None,
        causal: bool = False,
        bias: bool = True,
        rotary: bool = False,
        n_kv_heads: int | None = None,
        qk_norm: bool = False,
        rope_base: float = 10_000.0,
        norm_eps: float = 1e-5,
    ):
        self.n_heads = n_heads
        self.n_kv_heads = n_kv_heads or n_heads
        check_groups(n_heads, self.n_kv_heads)
        self.head_width = head_width(width, n_heads)
        self.causal = causal
        self.rotary = rotary
        self.rope_base = rope_base
        init = initializer(init)
        of_keys = self.n_kv_heads * self.head_width
        self.qkv = Linear(width, width + 2 * of_keys, init=init, bias=bias)
        self.out = Linear(width, width, init=init, bias=bias, into_residual=True)
        norm = {"init": init, "eps": norm_eps}
        self.q_norm = nn.RMSNorm(self.head_width, **norm) if qk_norm else None
        self.k_norm = nn.RMSNorm(self.head_width, **norm) if qk_norm else None

    @classmethod
    def from_config(
        cls, config: ModelConfig, init: Initializer, *, causal: bool
    ) -> "MultiHeadAttention":
        """That of a model of this shape."""
        return cls(
            config.d_model,
            config.n_heads,
            init=init,
            causal=causal,
            bias=config.bias,
            rotary=config.positions == "rotary",
            n_kv_heads=config.n_kv_heads,
            qk_norm=config.qk_norm,
            rope_base=config.rope_base,
            norm_eps=config.norm_eps,
        )

    def __call__(self, x: Tensor, mask=None, noise: "nn.Noise | None" = None) -> Tensor:
        """(B, T, D) -> (B, T, D)

        `mask` broadcasts to (B, H, T, T): boolean (True: may look) or additive.
        """
        qkv = self.queries_keys_values(x)
        dropout = {} if noise is None else noise.for_attention()
        heads = {"n_heads": self.n_heads, "n_kv_heads": self.n_kv_heads}
        y = self_attention(qkv, **heads, causal=self.causal, mask=mask, **dropout)
        return self.out(y)

    def queries_keys_values(
        self, x: Tensor, columns: "nn.Columns | None" = None
    ) -> Tensor:
        """Queries, keys and values side by side: all that attention sees of x.

        (B, T, D) -> (B, T, 3D), or with fewer heads of keys and values (B, T, D + 2Gd)

        Of a block of today they are normalised or turned too: see `rotary.py`.
        """
        qkv = self.qkv(x)
        if self.q_norm is None and not self.rotary:
            return qkv
        return nn.normed_and_turned(self, qkv, columns)

    def new_cache(
        self, batch: int, capacity: int, padding: np.ndarray | None = None
    ) -> "nn.KeyValueCache":
        """An empty cache with room for so many tokens. `padding`: see `Cache`."""
        sides = batch, self.n_kv_heads, capacity, self.head_width
        return nn.KeyValueCache(*sides, self.out.weight.dtype, padding)

    def decode(
        self, x: Tensor, cache: "nn.KeyValueCache", columns: "nn.Columns | None" = None
    ) -> Tensor:
        """As `__call__`, for tokens that follow those in the cache, in its next
        columns; remembers their keys and values. No gradient.
        (B, t, D) -> (B, t, D)"""
        columns = columns or nn.Columns(cache, x.shape[1])
        qkv = self.queries_keys_values(x, columns).data
        heads = {"n_heads": self.n_heads, "mask": columns.mask}
        return self.out(Tensor(nn.cached_attention(qkv, cache=cache, **heads)))


def to_key_mask(mask: np.ndarray | None):
    """What is no padding, as the keys that every head and query may look at; None where
    there is no padding at all.

    host (B, T) -> (B, 1, 1, T) on the device; None stays None
    """
    if mask is None or mask.all():
        return None
    return backend.current().asarray(mask)[:, None, None, :]
