"""Numbers in any form as floating-point arrays, and the types that ops compute in."""

import itertools
import math

import numpy as np

from minillm.backend import switch

HALF, SINGLE = np.dtype(np.float16), np.dtype(np.float32)


def as_float_array(data):
    """Numbers in any form as a floating-point array of the current backend.

    Lists, Python numbers and whole numbers become float32, floating-point arrays keep
    their type, in this machine's order of bytes. Raises TypeError for text and other
    objects.
    """
    array = floating(data)
    if isinstance(array, np.ndarray):
        array = switch.current().asarray(array)
    return array


def floating(data):
    """The same, left where it is."""
    array = data if switch.of(data) else np.asarray(data)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"a Tensor holds real numbers, not {data!r:.60}")
    # A list has no type of its own: float32 then, not NumPy's float64.
    if array.dtype.kind != "f" or not hasattr(data, "dtype"):
        array = array.astype(SINGLE)
    elif not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def argument(x):
    """What a rule gets for an argument that is no Tensor: an array, a Python number, or
    None."""
    if switch.of(x):
        return floating(x)
    if isinstance(x, np.generic):
        x = x.item()  # see plain_number
    if x is None or isinstance(x, (int, float)):
        return x
    return as_float_array(x)


def computing_type(dtype):
    """The type in which ops compute and gradients add up: float32 for half precision,
    which is for storage: it counts to 2048 exactly, and 256² overflows."""
    return SINGLE if dtype == HALF else dtype


def any_half(arrays) -> bool:
    """Whether one is of half precision. A plain loop: every call of an op asks."""
    for array in arrays:  # noqa: SIM110
        if getattr(array, "itemsize", 0) == 2:
            return True
    return False


def widened(arrays) -> tuple[list, bool]:
    """Half precision as float32, and whether there was nothing else. None and Python
    numbers are as they are, and do not count."""
    found = {array.dtype for array in arrays if hasattr(array, "dtype")}
    wide = [array.astype(SINGLE) if any_half([array]) else array for array in arrays]
    return wide, found == {HALF}


def plain_number(value):
    """A NumPy number, or an array of one number without axes, as Python's: that leaves
    float32 as it is, np.float64 would not. All else as it is."""
    if isinstance(value, (np.generic, np.ndarray)) and not value.ndim:
        return value.item() if value.dtype.kind in "fiub" else value
    return value


def as_rows(x):
    """All axes but the last made one: (..., D) -> (N, D)."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def split_heads(x, *parts: int) -> list:
    """Columns cut into heads of equal width d, of which each part has so many:
    (B, T, sum(parts)·d) -> for each part a view of shape (B, part, T, d)."""
    batch, length, width = x.shape
    n = sum(parts)
    heads = x.reshape(batch, length, n, width // n).swapaxes(1, 2)
    ends = list(itertools.accumulate(parts))
    return [heads[:, end - part : end] for part, end in zip(parts, ends, strict=True)]


def merge_heads(x):
    """(B, H, T, D/H) -> (B, T, D)."""
    batch, n_heads, length, width = x.shape
    return x.swapaxes(1, 2).reshape(batch, length, n_heads * width)


def heads_a_group(q, k) -> int:
    """How many heads of queries share one of keys: H/G, 1 where there is no such
    axis."""
    if min(q.ndim, k.ndim) < 3 or not k.shape[-3]:
        return 1
    share, rest = divmod(q.shape[-3], k.shape[-3])
    return share if share and not rest else 1


def repeat_heads(x, q):
    """Each head of keys or values as often as heads of queries share it.

    x (..., G, S, d), q (..., H, T, d) -> (..., H, S, d); x itself where none is shared
    """
    n = heads_a_group(q, x)
    return x if n == 1 else switch.xp.repeat(x, n, -3)


def sum_over_groups(g, x):
    """The gradient of x from that of `repeat_heads`: summed over each group."""
    n = heads_a_group(g, x)
    if n == 1:
        return g
    *leading, heads, length, width = g.shape
    return g.reshape(*leading, heads // n, n, length, width).sum(-3)
