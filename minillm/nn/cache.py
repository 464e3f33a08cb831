"""Key–value caches, and an LSTM's state: the memory of a layer in decoding."""

import functools

import numpy as np
from numpy.typing import DTypeLike

from minillm import backend
from minillm.backend import kernel, xp
from minillm.backend.arrays import merge_heads, split_heads
from minillm.nn.positions import positions_of, rotations
from minillm.ops import attention


class Cache:
    """What a layer remembers of the tokens so far, `length` of them.

    Sequences of different lengths end together: `padding` (B,), on the host, counts the
    columns before each one's first token.
    """

    of_sequences = ()  # the names of the arrays that have a row for each sequence

    def __init__(self, padding: np.ndarray | None = None):
        self.length = 0
        self.padding = padding

    def select(self, rows: np.ndarray) -> None:
        """Go on with these sequences, in this order; one may be there several times.

        Where their number stays the same, the arrays stay too, and with them a step
        that was captured on these arrays (`NextToken`).
        """
        self._take(rows)
        if self.padding is not None:
            self.padding = self.padding[rows]

    def _take(self, rows) -> None:
        rows = np.asarray(rows)
        for name in self.of_sequences:
            old = new = getattr(self, name)
            if old is None or np.array_equal(rows, np.arange(len(old))):
                continue
            if len(rows) != len(old):
                new = xp.zeros((len(rows), *old.shape[1:]), dtype=old.dtype)
                setattr(self, name, new)
            self._used(new)[...] = self._used(old)[xp.asarray(rows)]

    def _used(self, array):
        """The part of an array that holds something, as a view."""
        return array

    def lasting(self) -> list[tuple["Cache", str]]:
        """Where the arrays are found that tokens may write into, but not replace."""
        return [(self, name) for name in self.of_sequences]


class KeyValueCache(Cache):
    """The keys and values of the tokens so far, for one layer.

    A causal model's keys and values of a token never change once computed: decoding
    a new token needs only its own.   k, v (B, H, capacity, D/H), `length` of them used
    """

    of_sequences = ("k", "v")

    def __init__(
        self,
        batch: int,
        n_heads: int,
        capacity: int,
        head_width: int,
        dtype: DTypeLike,
        padding: np.ndarray | None = None,
    ):
        super().__init__(padding)
        self.k = xp.zeros((batch, n_heads, capacity, head_width), dtype=dtype)
        self.v = xp.zeros((batch, n_heads, capacity, head_width), dtype=dtype)

    @property
    def capacity(self) -> int:
        return self.k.shape[2]

    def append(self, k, v) -> tuple:
        """Store the next tokens' keys and values; return views of all so far."""
        begin, end = self.length, self.length + k.shape[2]
        self.k[:, :, begin:end] = k
        self.v[:, :, begin:end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def _used(self, array):
        return array[:, :, : self.length]


@kernel
def cached_attention(qkv, *, cache: KeyValueCache, n_heads: int, mask=None):
    """Causal attention of tokens that follow those in a cache, which remembers their
    keys and values. `mask` is that of the `Columns`.   (B, t, D + 2Gd) -> (B, t, D)"""
    groups = cache.k.shape[1]
    q, k, v = split_heads(qkv, n_heads, groups, groups)
    keys, values = cache.append(k, v)
    seen = None if mask is None else mask[..., : cache.length]
    return merge_heads(attention(q, keys, values, causal=True, mask=seen).data)


class Columns:
    """The next `n` columns of a cache: their positions, and what they may look at. One
    for all layers. `backend.anew` makes the arrays, since each step needs its own."""

    def __init__(self, cache: "KeyValueCache | DecoderCache", n: int):
        self.cache = cache
        self.n = n
        self._rotations = {}

    @functools.cached_property
    def positions(self) -> np.ndarray:
        """On the host.   (n,), or (B, n) with padding"""
        cache = self.cache
        return backend.anew(lambda: positions_of(cache.length, self.n, cache.padding))

    @functools.cached_property
    def mask(self):
        """True where a column holds a token, now or later: (B, 1, 1, capacity). None:
        all do."""
        cache = self.cache
        if cache.padding is None:
            return None
        columns = np.arange(cache.capacity)
        return backend.anew(
            lambda: xp.asarray(columns >= cache.padding[:, None])[:, None, None, :]
        )

    def rotations(self, width: int, dtype: DTypeLike, base: float) -> dict:
        """`nn.positions.rotations`, for all layers of one width and base."""

        def make(name):
            cache = self.cache
            found = rotations(self.n, width, cache.length, cache.padding, base=base)
            return found[name].astype(dtype)

        key = (width, base)
        if key not in self._rotations:
            self._rotations[key] = {
                name: backend.anew(functools.partial(make, name))
                for name in ("cos", "sin")
            }
        return self._rotations[key]


class DecoderCache(Cache):
    """The cache of a block that also looks at a memory: in `target` its key–value
    cache, and the memory's keys and values, which are there from the start.

    kv (B, S, 2D), memory_key_mask (B, 1, 1, S) or None
    """

    of_sequences = ("kv", "memory_key_mask")

    def __init__(self, target: KeyValueCache, kv, memory_key_mask=None):
        self.target = target
        self.kv = kv
        # A copy, since `select` writes into it: the mask is the caller's, and one for
        # all layers.
        masked = memory_key_mask is not None
        self.memory_key_mask = memory_key_mask.copy() if masked else None

    @property
    def length(self) -> int:
        return self.target.length

    @property
    def padding(self) -> np.ndarray | None:
        return self.target.padding

    @property
    def capacity(self) -> int:
        return self.target.capacity

    def select(self, rows: np.ndarray) -> None:
        """As in `Cache`."""
        self.target.select(rows)
        self._take(rows)

    def lasting(self) -> list[tuple[Cache, str]]:
        """As in `Cache`."""
        return self.target.lasting() + super().lasting()


class LSTMState(Cache):
    """The hidden and cell state of one layer (B, D), however many tokens there were. In
    columns of padding it stays empty."""

    of_sequences = ("hidden", "cell")

    def __init__(
        self,
        batch: int,
        width: int,
        dtype: DTypeLike,
        padding: np.ndarray | None = None,
    ):
        super().__init__(padding)
        self.hidden = xp.zeros((batch, width), dtype=dtype)
        self.cell = xp.zeros((batch, width), dtype=dtype)

    def lasting(self) -> list[tuple[Cache, str]]:
        """None: each token brings a state."""
        return []

    def carry_on(self, hidden, cell) -> None:
        """Replace the state by that after the next column."""
        if self.padding is not None:
            begun = xp.asarray(self.padding <= self.length)[:, None]
            hidden, cell = hidden * begun, cell * begun
        self.hidden, self.cell = hidden, cell
        self.length += 1
