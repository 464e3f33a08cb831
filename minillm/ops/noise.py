"""Dropout, and the random numbers that decide what it drops."""

import math

from minillm.backend import xp
from minillm.ops import checks
from minillm.tensor import op


@op(check=checks.rate_is_a_fraction)
def dropout(x, *, rate: float, key: int, first_row: int = 0):
    """Zero a fraction `rate` of the numbers and divide the others by 1 − rate, so that
    the mean stays (Srivastava et al. 2014).

    The mask is a hash of the key and of a number's place in the *whole* batch, of which
    x holds the rows from `first_row` on: it is the same on every backend, and however
    many workers share the batch.
    """
    kept = hashed_uniform(x.shape, key, first_row) >= int(rate * 2**32)
    scaled = kept.astype(x.dtype) / (1 - rate)
    return x * scaled, lambda g: g * scaled


def hashed_uniform(shape: tuple, key: int, first_row: int = 0):
    """Whole numbers uniform in [0, 2³²), one for each place of the whole batch, of
    which `shape` holds the rows from `first_row` on.

    The place is hashed, then the key is mixed in, then both are hashed again: masks of
    two keys are no shifted copies of one another.
    """
    first = first_row * math.prod(shape[1:])
    place = xp.arange(math.prod(shape), dtype=xp.uint32)
    place += _uint32(first)
    h = _scrambled(place)
    h ^= _uint32(key * 0x9E3779B9)  # 2³² / the golden ratio: spreads small keys
    return _scrambled(h).reshape(shape)


def _scrambled(h):
    """MurmurHash3's last step (Appleby 2011), a one-to-one map, in place."""
    for shift, multiplier in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h ^= h >> shift
        h *= _uint32(multiplier)  # arithmetic is modulo 2³²
    h ^= h >> 16
    return h


def _uint32(number: int):
    return xp.asarray(number & 0xFFFFFFFF, dtype=xp.uint32)
