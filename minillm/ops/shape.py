"""Shape ops: reshape, transpose, indexing, concatenation. They change no number."""

import numpy as np

from minillm.backend import current, joint, xp
from minillm.ops import checks
from minillm.tensor import op


@op
def reshape(x, *, shape: tuple):
    """The same numbers in another shape; one length may be -1."""
    return x.reshape(shape), lambda g: g.reshape(x.shape)


@op(check=checks.every_axis_once)
def transpose(x, *, axes: tuple | None = None):
    """The axes in another order; None reverses them."""
    axes = tuple(range(x.ndim))[::-1] if axes is None else axes
    axes = tuple(axis % x.ndim for axis in axes)
    inverse = sorted(range(x.ndim), key=axes.__getitem__)
    return x.transpose(axes), lambda g: g.transpose(inverse)


@op
def getitem(x, *, index):
    """x[index], for slices, numbers and arrays of whole numbers, best on the host (see
    `backend/cuda_scatter.py`); on a CPU for boolean arrays too (`x[x > 0]`)."""

    def pullback(g):
        gx = xp.zeros_like(x)
        if _is_basic(index):
            gx[index] = g
        else:
            # An index may occur twice: gradients add up.
            current().add_at(gx, index, g)
        return gx

    return x[_moved(index)], pullback


@op(check=checks.joined)
def concatenate(*arrays, axis: int = 0):
    """The arrays, or a list of them, one after the other along an axis."""
    lengths = [x.shape[axis] for x in arrays]
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]

    def pullback(g):
        return xp.split(g, ends[:-1], axis=axis)

    return xp.concatenate(arrays, axis=axis), joint(pullback)


def _moved(index):
    """An index with its arrays where x is."""
    if isinstance(index, tuple):
        return tuple(map(_moved, index))
    return xp.asarray(index) if isinstance(index, np.ndarray) else index


def _is_basic(index) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    basic = (int, slice, type(None), type(Ellipsis))
    return all(isinstance(part, basic) for part in parts)
