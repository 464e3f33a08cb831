"""More shape ops: they put numbers into other places, and change none.

stack, split, squeeze, pad, broadcast_to, take_along_axis, tril.
"""

import itertools

import numpy as np

from minillm.backend import joint, xp
from minillm.ops import checks
from minillm.ops.shape import getitem
from minillm.tensor import Tensor, op


def _alike(*arrays, axis=0) -> None:
    shapes = [np.shape(x) for x in arrays]
    what = f"stack of shapes {', '.join(map(str, shapes))} along axis {axis!r:.60}"
    if not arrays:
        raise ValueError(f"{what}: nothing to stack")
    if not isinstance(axis, int):
        raise TypeError(f"{what}: one whole number is needed as the axis")
    if len(set(shapes)) > 1:
        raise ValueError(f"{what}: all shapes must agree")
    if not -len(shapes[0]) - 1 <= axis <= len(shapes[0]):
        raise ValueError(f"{what}: there is no such axis")


@op(check=_alike)
def stack(*arrays, axis: int = 0):
    """The arrays, or a list of them, side by side along a new axis."""

    def pullback(g):
        before = (slice(None),) * (axis % g.ndim)
        return [g[(*before, i)] for i in range(len(arrays))]

    return xp.stack(arrays, axis=axis), joint(pullback)


def split(x: Tensor, sections: int | list, axis: int = 0) -> list[Tensor]:
    """Parts of x along an axis: `sections` of equal length or, from a list, cut at
    these places, as NumPy does. (PyTorch's number is the length of a part.)

    An op gives one value: this is one `getitem` for each part.
    """
    x = x if hasattr(x, "shape") else Tensor(x)
    checks.one_axis(x, axis=axis)
    length = x.shape[axis]
    listed = isinstance(sections, (list, tuple))
    given = sections if listed else [sections]
    if not all(isinstance(n, (int, np.integer)) for n in given):
        raise TypeError(f"split: sections {sections!r:.60} are no whole numbers")
    if listed:
        places = [0, *sections, length]
    elif sections < 1 or length % sections:
        raise ValueError(
            f"split of shape {x.shape} along axis {axis}: {length} does not divide "
            f"into {sections} equal parts"
        )
    else:
        places = [i * length // sections for i in range(sections + 1)]
    before = (slice(None),) * (axis % x.ndim)
    ends = itertools.pairwise(places)
    return [getitem(x, index=(*before, slice(begin, end))) for begin, end in ends]


def _length_one(x, *, axis=None) -> None:
    checks.axes_exist(x, axis=axis)
    for one in () if axis is None else axis if isinstance(axis, tuple) else (axis,):
        if x.shape[one] != 1:
            raise ValueError(
                f"squeeze of shape {x.shape}: axis {one} has length {x.shape[one]}"
            )


@op(check=_length_one)
def squeeze(x, *, axis: int | tuple | None = None):
    """x without an axis of length 1, without several, or (None) without any such."""
    if axis is None:
        gone = [i for i, length in enumerate(x.shape) if length == 1]
    else:
        gone = [i % x.ndim for i in (axis if isinstance(axis, tuple) else (axis,))]
    shape = tuple(n for i, n in enumerate(x.shape) if i not in gone)
    return x.reshape(shape), lambda g: g.reshape(x.shape)


def _room_around(x, *, pad_width, value=0.0) -> None:
    widths = np.asarray(pad_width)
    fits = widths.shape in ((), (1,), (2,), (1, 2), (x.ndim, 2))
    if widths.dtype.kind not in "iu" or not fits or (widths < 0).any():
        raise ValueError(
            f"pad of shape {x.shape} by {pad_width!r:.60}: one whole number is needed, "
            f"one pair (before, after), or {x.ndim} pairs, one for each axis"
        )


@op(check=_room_around)
def pad(x, *, pad_width: int | tuple, value: float = 0.0):
    """x in a frame of one value.

    `pad_width`: how many on every side, or (before, after) for every axis, or a list of
    such pairs, one for each axis from the first (PyTorch begins with the last).
    """
    pairs = np.broadcast_to(pad_width, (x.ndim, 2)).tolist()
    sides = [(n, *pair) for n, pair in zip(x.shape, pairs, strict=True)]
    y = xp.full([sum(side) for side in sides], value, x.dtype)
    inner = tuple(slice(before, before + n) for n, before, _ in sides)
    y[inner] = x
    return y, lambda g: g[inner]


def _stretches(x, *, shape) -> None:
    new = (shape,) if isinstance(shape, int) else tuple(shape)
    kept = new[len(new) - x.ndim :]
    if len(new) < x.ndim or any(
        n not in (1, m) for n, m in zip(x.shape, kept, strict=True)
    ):
        raise ValueError(
            f"broadcast_to: shape {x.shape} does not stretch to {new}: only axes of "
            f"length 1, and new ones in front, do"
        )


@op(check=_stretches)
def broadcast_to(x, *, shape: int | tuple):
    """x stretched to a shape, as NumPy broadcasts; the gradient is the sum over what
    was stretched."""
    return xp.broadcast_to(x, shape), lambda g: g  # summed by `unbroadcast`


def _places(x, *, indices, axis=-1) -> None:
    checks.one_axis(x, axis=axis)
    what = f"take_along_axis of shape {x.shape} along axis {axis}"
    if np.ndim(indices) != x.ndim:
        raise ValueError(f"{what}: indices of shape {np.shape(indices)}")
    length = x.shape[axis]
    checks.whole_numbers(indices, -length, length, f"{what}: indices")


@op(check=_places)
def take_along_axis(x, *, indices, axis: int = -1):
    """For each line along an axis, the elements at its own places: NumPy's
    take_along_axis, PyTorch's gather.

    `indices` are whole numbers, of as many axes as x; the other axes broadcast.
    """
    grid = []  # every element's place along each axis
    for i, length in enumerate(x.shape):
        sides = [1] * x.ndim
        sides[i] = length
        grid.append(xp.arange(length).reshape(sides))
    grid[axis] = indices
    index = tuple(grid)

    def pullback(g):
        gx = xp.zeros_like(x)
        xp.add.at(gx, index, g)  # a place may be taken twice
        return gx

    return x[index], pullback


def _a_matrix(x, *, k=0) -> None:
    if x.ndim < 2:
        raise ValueError(f"tril of an array of shape {x.shape}: it needs two axes")


@op(check=_a_matrix)
def tril(x, *, k: int = 0):
    """The lower triangle of the last two axes, zeros above the k-th diagonal."""
    return xp.tril(x, k), lambda g: xp.tril(g, k)
