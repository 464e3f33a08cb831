"""Key–value caches, and an LSTM's state: what a layer remembers in decoding."""

import numpy as np
from numpy.typing import DTypeLike

from minillm.backend import xp


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
        dtype: DTypeLike,
        padding: np.ndarray | None = None,
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

    def select(self, rows: np.ndarray) -> None:
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
        self,
        n_heads: int,
        capacity: int,
        kv,
        memory_key_mask=None,
        padding: np.ndarray | None = None,
    ):
        batch, _, both = kv.shape
        head_width = both // (2 * n_heads)
        super().__init__(batch, n_heads, capacity, head_width, kv.dtype, padding)
        self.kv = kv
        self.memory_key_mask = memory_key_mask

    def select(self, rows: np.ndarray) -> None:
        super().select(rows)
        on_device = xp.asarray(rows)
        self.kv = self.kv[on_device]
        if self.memory_key_mask is not None:
            self.memory_key_mask = self.memory_key_mask[on_device]


class LSTMState:
    """What one layer remembers of the tokens so far, `length` of them: hidden and cell
    (B, D), however many they are.

    Sequences of different lengths end together: `padding` (B,), on the host, counts the
    columns before each one's first token, in which its state stays empty.
    """

    def __init__(
        self,
        batch: int,
        width: int,
        dtype: DTypeLike,
        padding: np.ndarray | None = None,
    ):
        self.hidden = xp.zeros((batch, width), dtype=dtype)
        self.cell = xp.zeros((batch, width), dtype=dtype)
        self.length = 0
        self.padding = padding

    def carry_on(self, hidden, cell) -> None:
        """Replace the state by that after the next column."""
        if self.padding is not None:
            begun = xp.asarray(self.padding <= self.length)[:, None]
            hidden, cell = hidden * begun, cell * begun
        self.hidden, self.cell = hidden, cell
        self.length += 1

    def select(self, rows: np.ndarray) -> None:
        """Go on with these sequences, in this order; one may be there several times."""
        on_device = xp.asarray(rows)
        self.hidden = self.hidden[on_device]
        self.cell = self.cell[on_device]
        if self.padding is not None:
            self.padding = self.padding[rows]
