"""Reductions: sum, mean and max over axes.

`axis` is one axis, several, or None for all; negative axes count from the end.
"""

import math

from minillm.backend import xp
from minillm.ops import checks
from minillm.tensor import op


@op(check=checks.axes_exist)
def sum(x, *, axis: int | tuple | None = None, keepdims: bool = False):
    """The sum over the axes."""
    spread = spreading(x, axis, keepdims)
    return x.sum(axis, keepdims=keepdims), spread


@op(check=checks.axes_exist)
def mean(x, *, axis: int | tuple | None = None, keepdims: bool = False):
    """The mean over the axes."""
    n = math.prod(x.shape[i] for i in axes_of(x, axis))
    spread = spreading(x, axis, keepdims)
    return x.mean(axis, keepdims=keepdims), lambda g: spread(g / n)


@op(check=checks.something_to_choose)
def max(x, *, axis: int | tuple | None = None, keepdims: bool = False):
    """The largest element; where several are equal, they share the gradient."""
    spread = spreading(x, axis, keepdims)
    y = x.max(axis, keepdims=keepdims)

    def pullback(g):
        is_largest = x == spread(y)
        n = is_largest.sum(axis, keepdims=True).astype(x.dtype)
        return spread(g) * is_largest / n

    return y, pullback


def axes_of(x, axis) -> tuple:
    """The axes meant, from 0, sorted."""
    axes = range(x.ndim) if axis is None else axis
    axes = axes if isinstance(axes, (tuple, range)) else (axes,)
    return tuple(sorted(i % x.ndim for i in axes))


def spreading(x, axis, keepdims):
    """The function that stretches a reduced array over x's shape again."""
    axes = axes_of(x, axis)

    def spread(g):
        if not keepdims:
            g = xp.expand_dims(g, axes)
        return xp.broadcast_to(g, x.shape)

    return spread
