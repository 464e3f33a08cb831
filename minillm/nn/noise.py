"""Dropout's randomness, handed down explicitly: no noise, no dropout."""

from minillm.ops import dropout
from minillm.tensor import Tensor


class Noise:
    """Numbers the dropouts of one forward pass: the n-th one of a step always drops the
    same places of the whole batch, whichever worker or backend computes them.

    `first_row` is where this share of the batch begins in the whole.
    """

    def __init__(self, rate: float, seed: int, step: int, first_row: int = 0):
        self.rate = rate
        self.first_row = first_row
        # Up to 4096 dropouts a step. Keys count modulo 2³²: after 2²⁰ steps they recur.
        self._key = (seed * 1_000_003 + step) * 4096

    def next_key(self) -> int:
        self._key += 1
        return self._key


def drop(x: Tensor, noise: Noise | None) -> Tensor:
    """Dropout where there is noise, x itself where there is none."""
    if noise is None or noise.rate == 0:
        return x
    key = noise.next_key()
    return dropout(x, rate=noise.rate, key=key, first_row=noise.first_row)
