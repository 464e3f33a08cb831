"""Key–value caches, and an LSTM's state: the memory of a layer in decoding."""

import numpy as np
from numpy.typing import DTypeLike

from minillm.backend import xp


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
        """Go on with these sequences, in this order; one may be there several times."""
        on_device = xp.asarray(rows)
        for name in self.of_sequences:
            setattr(self, name, getattr(self, name)[on_device])
        if self.padding is not None:
            self.padding = self.padding[rows]


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

    def append(self, k, v) -> tuple:
        """Store the next tokens' keys and values; return views of all so far."""
        begin, end = self.length, self.length + k.shape[2]
        self.k[:, :, begin:end] = k
        self.v[:, :, begin:end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]


def column_mask(cache: "list[KeyValueCache]", n_new: int):
    """True where a column holds a token, or one of the next `n_new`, which alone may be
    looked at: (B, 1, 1, length). None: all do. One for all layers."""
    padding = cache[0].padding
    if padding is None:
        return None
    columns = np.arange(cache[0].length + n_new)
    return xp.asarray(columns >= padding[:, None])[:, None, None, :]


class DecoderCache:
    """The cache of a block that also looks at a memory: in `target` its key–value
    cache, and the memory's keys and values, which are there from the start.

    kv (B, S, 2D), memory_key_mask (B, 1, 1, S) or None
    """

    def __init__(self, target: KeyValueCache, kv, memory_key_mask=None):
        self.target = target
        self.kv = kv
        self.memory_key_mask = memory_key_mask

    @property
    def length(self) -> int:
        return self.target.length

    @property
    def padding(self) -> np.ndarray | None:
        return self.target.padding

    def select(self, rows: np.ndarray) -> None:
        """As in `Cache`."""
        self.target.select(rows)
        on_device = xp.asarray(rows)
        self.kv = self.kv[on_device]
        if self.memory_key_mask is not None:
            self.memory_key_mask = self.memory_key_mask[on_device]


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

    def carry_on(self, hidden, cell) -> None:
        """Replace the state by that after the next column."""
        if self.padding is not None:
            begun = xp.asarray(self.padding <= self.length)[:, None]
            hidden, cell = hidden * begun, cell * begun
        self.hidden, self.cell = hidden, cell
        self.length += 1
