"""Multi-head attention: the layers around the ops."""

import numpy as np

from minillm import backend, nn  # nn.KeyValueCache is opened in decoding only
from minillm.backend.arrays import merge_heads, split_heads
from minillm.nn.config import ModelConfig, check_groups, head_width
from minillm.nn.init import Init, Initializer, initializer
from minillm.nn.layers import Linear, Noise, RMSNorm
from minillm.nn.module import Module
from minillm.nn.positions import rotations
from minillm.ops import (
    attention,
    concatenate,
    cross_attention,
    rotary,
    self_attention,
)
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
    ):
        self.n_heads = n_heads
        self.n_kv_heads = n_kv_heads or n_heads
        check_groups(n_heads, self.n_kv_heads)
        self.head_width = head_width(width, n_heads)
        self.causal = causal
        self.rotary = rotary
        init = initializer(init)
        of_keys = self.n_kv_heads * self.head_width
        self.qkv = Linear(width, width + 2 * of_keys, init=init, bias=bias)
        self.out = Linear(width, width, init=init, bias=bias, into_residual=True)
        self.q_norm = RMSNorm(self.head_width, init=init) if qk_norm else None
        self.k_norm = RMSNorm(self.head_width, init=init) if qk_norm else None

    @classmethod
    def of(
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
        )

    def __call__(self, x: Tensor, mask=None, noise: Noise | None = None) -> Tensor:
        """(B, T, D) -> (B, T, D)

        `mask` broadcasts to (B, H, T, T): boolean (True: may look) or additive.
        """
        qkv = self.queries_keys_values(x)
        drop = {} if noise is None else noise.of_weights()
        heads = {"n_heads": self.n_heads, "n_kv_heads": self.n_kv_heads}
        y = self_attention(qkv, **heads, causal=self.causal, mask=mask, **drop)
        return self.out(y)

    def queries_keys_values(
        self, x: Tensor, begin: int = 0, padding: np.ndarray | None = None
    ) -> Tensor:
        """Queries, keys and values side by side: all that attention sees of x.

        (B, T, D) -> (B, T, 3D), or with fewer heads of keys and values (B, T, D + 2Gd)

        Here queries and keys of every head are normalised, which keeps scores from
        growing (Henry et al. 2020; per head as in Qwen 3), and turned by their
        positions, so that a score depends on how far the two stand apart. `begin` is
        the number of the first column, `padding`: see `Cache`.
        """
        qkv = self.qkv(x)
        if self.q_norm is None and not self.rotary:
            return qkv
        (batch, length, _), width = x.shape, self.head_width
        n_q, n_qk = self.n_heads, self.n_heads + self.n_kv_heads
        heads = qkv.reshape(batch, length, n_qk + self.n_kv_heads, width)
        if self.q_norm is not None:
            q, k, v = heads[:, :, :n_q], heads[:, :, n_q:n_qk], heads[:, :, n_qk:]
            heads = concatenate(self.q_norm(q), self.k_norm(k), v, axis=2)
        if self.rotary:
            turns = rotations(length, width, begin, padding)
            heads = rotary(heads, n_turned=n_qk, **turns)
        return heads.reshape(qkv.shape)

    def new_cache(
        self, batch: int, capacity: int, padding: np.ndarray | None = None
    ) -> "nn.KeyValueCache":
        """An empty cache with room for so many tokens. `padding`: see `Cache`."""
        sides = batch, self.n_kv_heads, capacity, self.head_width
        return nn.KeyValueCache(*sides, self.out.weight.dtype, padding)

    def decode(self, x: Tensor, cache: "nn.KeyValueCache", mask=None) -> Tensor:
        """As `__call__`, for tokens that follow those in the cache; remembers their
        keys and values. `mask`: see `column_mask`. No gradient.
        (B, t, D) -> (B, t, D)"""
        qkv = self.queries_keys_values(x, cache.length, cache.padding)
        q, k, v = split_heads(qkv.data, self.n_heads, self.n_kv_heads, self.n_kv_heads)
        keys, values = cache.append(k, v)
        y = attention(q, keys, values, causal=self.causal, mask=mask)
        return self.out(Tensor(merge_heads(y.data)))

    def flops(self, n_keys: int) -> float:
        """FLOPs of q kᵀ and of the weighted sum of values, for one query and `n_keys`
        keys; under a causal mask half of them. The linear maps are not counted."""
        return 4 * n_keys * self.out.weight.shape[0] * (0.5 if self.causal else 1)

    def kept(self, n_keys: int) -> int:
        """Queries, keys and values (once more where they are turned, three times where
        they are normalised), their mean, the output, and the weights."""
        width, of_heads = self.qkv.weight.shape
        times = 1 + self.rotary + 3 * (self.q_norm is not None)
        return times * of_heads + 2 * width + self.n_heads * n_keys


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
    def of(cls, config: ModelConfig, init: Initializer) -> "CrossAttention":
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
        drop = {} if noise is None else noise.of_weights()
        heads = {"n_heads": self.n_heads, "n_kv_heads": self.n_kv_heads}
        return self.out(cross_attention(self.q(x), kv, **heads, mask=mask, **drop))

    def flops(self, n_keys: int) -> float:
        """As in `MultiHeadAttention`."""
        return 4 * n_keys * self.out.weight.shape[0]

    def kept(self, n_keys: int) -> int:
        """As in `MultiHeadAttention`, for a memory as long."""
        width, of_memory = self.kv.weight.shape
        return of_memory + 3 * width + self.n_heads * n_keys


def to_key_mask(mask: np.ndarray | None):
    """What is no padding, as the keys that every head and query may look at; None where
    there is no padding at all.

    host (B, T) -> (B, 1, 1, T) on the device; None stays None
    """
    if mask is None or mask.all():
        return None
    return backend.current().asarray(mask)[:, None, None, :]
