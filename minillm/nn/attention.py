"""Multi-head attention: the layers around the ops, and the caches for decoding."""

from minillm.backend import xp
from minillm.errors import UsageError
from minillm.nn.init import Initializer
from minillm.nn.layers import Linear
from minillm.nn.module import Module
from minillm.ops import attention, cross_attention, self_attention
from minillm.ops.attention import merge_heads, split_heads
from minillm.tensor import Tensor


class MultiHeadAttention(Module):
    """Queries, keys and values from x, attention in every head, one projection back.

    The causal mask is applied in the op (`ops/attention.py`), before the softmax.
    """

    def __init__(self, width, n_heads, *, init: Initializer, causal, bias=True):
        self.n_heads = _checked(n_heads, width)
        self.causal = causal
        self.qkv = Linear(width, 3 * width, init=init, bias=bias)
        self.out = Linear(width, width, init=init, bias=bias, into_residual=True)

    def __call__(self, x: Tensor, mask=None) -> Tensor:  # (B, T, D) -> (B, T, D)
        """`mask` broadcasts to (B, H, T, T): boolean (True: may look) or additive."""
        y = self_attention(
            self.qkv(x), n_heads=self.n_heads, causal=self.causal, mask=mask
        )
        return self.out(y)

    def decode(self, x: Tensor, cache: "KeyValueCache") -> Tensor:
        """The same for tokens that follow those in the cache; remembers their keys and
        values. No gradient.   (B, t, D) -> (B, t, D)"""
        q, k, v = split_heads(self.qkv(x).data, 3, self.n_heads)
        keys, values = cache.append(k, v)
        y = attention(q, keys, values, causal=self.causal, mask=cache.mask())
        return self.out(Tensor(merge_heads(y.data)))


class CrossAttention(Module):
    """Queries from x, keys and values from a memory: what an encoder made of a text."""

    def __init__(self, width, n_heads, *, init: Initializer, bias=True):
        self.n_heads = _checked(n_heads, width)
        self.q = Linear(width, width, init=init, bias=bias)
        self.kv = Linear(width, 2 * width, init=init, bias=bias)
        self.out = Linear(width, width, init=init, bias=bias, into_residual=True)

    def __call__(self, x: Tensor, memory: Tensor, mask=None) -> Tensor:
        """x (B, T, D), memory (B, S, D) -> (B, T, D). `mask` broadcasts to
        (B, H, T, S)."""
        return self.look(x, self.kv(memory), mask)

    def look(self, x: Tensor, kv, mask=None) -> Tensor:
        """The same with the memory's keys and values already at hand: kv (B, S, 2D)."""
        return self.out(cross_attention(self.q(x), kv, n_heads=self.n_heads, mask=mask))


def _checked(n_heads: int, width: int) -> int:
    if width % n_heads:
        raise UsageError(f"width {width} cannot be divided among {n_heads} heads")
    return n_heads


class KeyValueCache:
    """The keys and values of the tokens so far, for one layer.

    A causal model's keys and values of a token never change once computed: decoding
    a new token needs only its own.   k, v (B, H, capacity, D/H), `length` of them used

    Sequences of different lengths end together: `padding` (B,), on the host, counts the
    columns before each one's first token, which nothing may look at.
    """

    def __init__(
        self,
        batch: int,
        n_heads: int,
        capacity: int,
        head_width: int,
        dtype,
        padding=None,
    ):
        self.k = xp.zeros((batch, n_heads, capacity, head_width), dtype=dtype)
        self.v = xp.zeros((batch, n_heads, capacity, head_width), dtype=dtype)
        self.length = 0
        self.padding = padding

    def append(self, k, v):
        """Store the next tokens' keys and values; return views of all so far."""
        begin, end = self.length, self.length + k.shape[2]
        self.k[:, :, begin:end] = k
        self.v[:, :, begin:end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def mask(self):
        """True where a column holds a token: (B, 1, 1, length). None: all do."""
        if self.padding is None:
            return None
        columns = xp.arange(self.length)
        return (columns >= xp.asarray(self.padding)[:, None])[:, None, None, :]

    def select(self, rows) -> None:
        """Go on with these sequences, in this order; one may be there several times."""
        on_device = xp.asarray(rows)
        self.k = self.k[on_device]
        self.v = self.v[on_device]
        if self.padding is not None:
            self.padding = self.padding[rows]


class DecoderCache(KeyValueCache):
    """The same for a block that also looks at a memory, whose keys and values are there
    from the start.   kv (B, S, 2D), memory_key_mask (B, 1, 1, S) or None"""

    def __init__(
        self, n_heads: int, capacity: int, kv, memory_key_mask=None, padding=None
    ):
        batch, _, both = kv.shape
        head_width = both // (2 * n_heads)
        super().__init__(batch, n_heads, capacity, head_width, kv.dtype, padding)
        self.kv = kv
        self.memory_key_mask = memory_key_mask

    def select(self, rows) -> None:
        super().select(rows)
        on_device = xp.asarray(rows)
        self.kv = self.kv[on_device]
        if self.memory_key_mask is not None:
            self.memory_key_mask = self.memory_key_mask[on_device]
