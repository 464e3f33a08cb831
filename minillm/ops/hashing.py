"""Counter-based random numbers: a hash of a key and of each place in a batch."""

import math

from minillm.backend import xp


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
