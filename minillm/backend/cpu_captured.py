"""How NumPy's ops are captured: for each the array of its value, and the calls that
fill it.

A value is made for one token of some sequences: few rows, so that the calls count, not
the passes over memory. Only what writing needs is here; `capture.py` runs
the body of any other op again. `tests/backend/test_capture.py` compares.
"""

import math
from functools import partial

import numpy as np

from minillm.backend.arrays import split_heads
from minillm.backend.capture import captured, rows_of
from minillm.backend.products import SMALL, has_small_products


@captured("linear")
def linear(x, weight, bias):
    rows, calls = rows_of(x)
    y = np.empty((len(rows), weight.shape[1]), x.dtype)
    some = _rows_at_a_time(len(rows), weight.size)
    for i in range(0, len(rows), some):
        part = slice(i, i + some) if some > 1 else i  # one row: a vector
        calls.append(partial(rows[part].dot, weight, y[part]))
    if bias is not None:
        calls.append(partial(np.add, _flat(y), bias, _flat(y)))
    return y.reshape(*x.shape[:-1], weight.shape[1]), calls


def _flat(rows):
    """One row as a vector: NumPy adds two of those twice as quickly as it stretches one
    over the rows of a matrix."""
    return rows[0] if len(rows) == 1 else rows


def _rows_at_a_time(n: int, size: int) -> int:
    """How many of n rows are best multiplied at once with a matrix of this size."""
    if n <= 3:  # as vectors: a product of matrices takes twice as long as these
        return 1
    if n <= 32 and 2 * size <= SMALL < n * size and has_small_products():
        return SMALL // size
    return n


@captured("embedding")
def embedding(table, *, ids):
    """Every id is in the table: `NextToken` has looked. With a mode other than "clip",
    `take` would write into a copy of its `out` first."""
    if not isinstance(ids, np.ndarray):
        return None
    y = np.empty((*ids.shape, table.shape[1]), table.dtype)
    return y, [partial(table.take, ids, 0, y, "clip")]


@captured("layer_norm")
def layer_norm(x, gain, bias, *, eps=1e-5):
    rows, calls = rows_of(x)
    y = np.empty_like(rows)
    n_rows, width = rows.shape
    average = np.full(width, 1 / width, x.dtype)
    if n_rows == 1:
        row, unit, mean = rows[0], y[0], np.empty((), x.dtype)
        calls.append(partial(row.dot, average, mean))
    else:
        row, unit, mean = rows, y, np.empty((n_rows, 1), x.dtype)
        calls.append(partial(row.dot, average, mean[:, 0]))
    calls.append(partial(np.subtract, row, mean, unit))
    calls += _to_unit(unit, unit, eps) + _scaled_and_shifted(unit, gain, bias)
    return y.reshape(x.shape), calls


@captured("rms_norm")
def rms_norm(x, gain, *, eps=1e-5):
    rows, calls = rows_of(x)
    y = np.empty_like(rows)
    row, unit = _flat(rows), _flat(y)
    calls += _to_unit(row, unit, eps) + _scaled_and_shifted(unit, gain, None)
    return y.reshape(x.shape), calls


def _to_unit(x, y, eps) -> list:
    """The calls of y = x / sqrt(mean of x² + eps), for one vector or for rows."""
    width = x.shape[-1]
    if x.ndim == 1:
        inverse = np.empty((), x.dtype)

        def invert():  # one number costs less as Python's
            inverse[()] = 1 / math.sqrt(x.dot(x) / width + eps)

        return [invert, partial(np.multiply, x, inverse, y)]
    squares, n, least = np.empty((len(x), 1), x.dtype), *_numbers(x, width, eps)
    return [
        partial(np.vecdot, x, x, squares[:, 0]),
        partial(np.divide, squares, n, squares),
        partial(np.add, squares, least, squares),
        partial(np.sqrt, squares, squares),
        partial(np.divide, x, squares, y),
    ]


def _scaled_and_shifted(y, gain, bias) -> list:
    calls = [partial(np.multiply, y, gain, y)]
    if bias is not None:
        calls.append(partial(np.add, y, bias, y))
    return calls


def _numbers(x, *numbers) -> list:
    """Arrays of one number, in the type of x: a call takes them as they are, where it
    would convert a number each time."""
    return [np.array(number, x.dtype) for number in numbers]


def _element_by_element(name: str, function) -> None:
    @captured(name)
    def maker(x, y):
        z = np.empty(
            np.broadcast_shapes(np.shape(x), np.shape(y)), np.result_type(x, y)
        )
        x, y = (
            a if isinstance(a, np.ndarray) else np.array(a, z.dtype) for a in (x, y)
        )
        return z, [partial(function, x, y, z)]


for _name, _function in (("add", np.add), ("sub", np.subtract), ("mul", np.multiply)):
    _element_by_element(_name, _function)


@captured("gelu")
def gelu(x, *, form="tanh"):
    """x·(1 + tanh(u)) / 2 is x / (1 + exp(−2u)): a call less, and a cheaper one.
    Where exp overflows, x / ∞ is the 0 that it should be."""
    if form != "tanh":
        return None
    y, c = np.empty(x.shape, x.dtype), -2 * math.sqrt(2 / math.pi)
    slope, start = _numbers(x, c * 0.044715, c)
    return y, [
        partial(np.multiply, x, x, y),
        partial(np.multiply, y, slope, y),
        partial(np.add, y, start, y),
        partial(np.multiply, y, x, y),
        *_over_one_plus_exp(x, y),
    ]


def _over_one_plus_exp(x, y) -> list:
    """The calls of y = x / (1 + exp(y)), in place."""
    (one,) = _numbers(y, 1)
    return [
        partial(np.exp, y, y),
        partial(np.add, y, one, y),
        partial(np.divide, x, y, y),
    ]


@captured("swiglu")
def swiglu(gate, up):
    y = np.empty(gate.shape, gate.dtype)
    return y, [
        partial(np.negative, gate, y),
        *_over_one_plus_exp(gate, y),
        partial(np.multiply, y, up, y),
    ]


@captured("relu")
def relu(x):
    y, (zero,) = np.empty(x.shape, x.dtype), _numbers(x, 0)
    return y, [partial(np.maximum, x, zero, out=y)]


@captured("concatenate")
def concatenate(*arrays, axis=0):
    y = np.concatenate(arrays, axis)
    return y, [partial(np.concatenate, arrays, axis, y)]


@captured("rotary")
def rotary(x, *, cos, sin, n_turned=None):
    """Both halves of a head at once: (a, b)·cos and (b, a)·sin, then a difference in
    one half and a sum in the other."""
    if cos.dtype != x.dtype or sin.dtype != x.dtype or not x.flags.c_contiguous:
        return None
    n_turned = x.shape[2] if n_turned is None else n_turned
    y = np.empty(x.shape, x.dtype)
    in_halves = (*x.shape[:-1], 2, x.shape[-1] // 2)
    pairs, out = x.reshape(in_halves)[:, :, :n_turned], y.reshape(in_halves)
    out = out[:, :, :n_turned]
    others = np.empty(out.shape, x.dtype)
    cos, sin = cos[..., None, :], sin[..., None, :]
    first, second = out[..., 0, :], out[..., 1, :]
    return y, [
        partial(np.copyto, y[:, :, n_turned:], x[:, :, n_turned:]),
        partial(np.multiply, pairs, cos, out),
        partial(np.multiply, pairs[..., ::-1, :], sin, others),
        partial(np.subtract, first, others[..., 0, :], first),
        partial(np.add, second, others[..., 1, :], second),
    ]


@captured("cross_attention")
def cross_attention(
    q, kv, bias=None, *, n_heads, n_kv_heads=None, mask=None, **dropping
):
    """The memory's keys and values stay as they are."""
    (batch, length, width), groups = q.shape, n_kv_heads or n_heads
    of_all = mask is None or (mask.dtype == bool and mask.shape[1:3] == (1, 1))
    if length != 1 or bias is not None or dropping or not of_all:
        return None
    if not q.flags.c_contiguous or not kv.flags.c_contiguous:
        return None
    keys, values = split_heads(kv, groups, groups)
    of_group = (batch, groups, n_heads // groups, width // n_heads)
    scale, attend, y = _attention(q, of_group)
    columns = keys.swapaxes(2, 3)
    return y.reshape(q.shape), [scale, partial(attend, columns, values, mask)]


@captured("cached_attention")
def cached_attention(qkv, *, cache, n_heads, mask=None):
    """The columns of a cache grow: it is asked each time how many there are."""
    (batch, length, _), groups = qkv.shape, cache.k.shape[1]
    if length != 1 or not qkv.flags.c_contiguous:
        return None
    q, k, v = split_heads(qkv, n_heads, groups, groups)
    k, v = k[:, :, 0], v[:, :, 0]
    # With columns as the first axis a token's place is an index, which takes half the
    # time of a slice.
    key_of, value_of = (array.transpose(2, 0, 1, 3) for array in (cache.k, cache.v))
    # Heads of all sequences as one axis: NumPy's loops are quicker over fewer axes.
    stacked = (batch * groups, cache.capacity, q.shape[-1])
    columns = cache.k.reshape(stacked).swapaxes(1, 2)
    values = cache.v.reshape(stacked)
    of_group = (batch * groups, n_heads // groups, q.shape[-1])
    scale, attend, y = _attention(q, of_group)

    def call():
        key_of[cache.length] = k
        value_of[cache.length] = v
        cache.length = end = cache.length + 1
        seen = None if mask is None else mask[..., :end]
        attend(columns[:, :, :end], values[:, :end], seen)

    return y.reshape(batch, 1, n_heads * q.shape[-1]), [scale, call]


def _attention(q, of_group: tuple):
    """For one query in each head: the call that divides the queries by √d, the function
    that attends, and the array it writes into.

    `of_group` (..., H/G, d) is the shape of the queries whose heads of keys are shared.
    `attend(columns, values, seen)` may be given more of them each time: columns
    (..., d, S), which are the keys, values (..., S, d), seen (B, 1, 1, S) or None.
    """
    scaled, y = np.empty((2, *of_group), q.dtype)
    (scale,) = _numbers(q, 1 / math.sqrt(of_group[-1]))
    n_heads = math.prod(of_group[:-1])
    heads = y.reshape(n_heads, of_group[-1])
    largest, total = np.empty((2, n_heads, 1), q.dtype)
    totals, ones = total[:, 0], np.ones(0, q.dtype)
    limits = np.finfo(q.dtype)

    def attend(columns, values, seen):
        nonlocal ones
        e = np.matmul(scaled, columns)
        n_keys = e.shape[-1]
        if seen is not None:
            np.copyto(e.reshape(len(seen), 1, -1, n_keys), -math.inf, where=~seen)
        rows = e.reshape(n_heads, n_keys)
        np.maximum.reduce(rows, 1, None, largest, True)
        if seen is not None:  # a query that may see nothing gets zeros
            np.maximum(largest, limits.min, out=largest)
        np.subtract(rows, largest, rows)
        np.exp(rows, rows)
        if len(ones) < n_keys:
            ones = np.ones(2 * n_keys, q.dtype)
        rows.dot(ones[:n_keys], totals)
        if seen is not None:
            np.maximum(total, limits.tiny, out=total)
        np.matmul(e, values, y)
        np.divide(heads, total, heads)

    return partial(np.multiply, q, scale, scaled.reshape(q.shape)), attend, y


@captured("lstm_onwards")
def lstm_onwards(z, weight, *, state):
    """As `ops.recurrent.step`; the arrays that it writes into become the state's."""
    batch, length, width = len(z), z.shape[1], len(weight)
    begun = state.padding is None or (state.padding <= state.length).all()
    if length != 1 or not begun:
        return None
    gates = np.empty((batch, 4 * width), z.dtype)
    sigmoids, new = gates[:, : 3 * width], gates[:, 3 * width :]
    i, f, o = (sigmoids[:, k * width : (k + 1) * width] for k in range(3))
    hidden, cell = np.empty((2, batch, width), z.dtype)
    now = z[:, 0]

    def before():
        state.hidden.dot(weight, gates)

    def after():
        np.multiply(f, state.cell, cell)
        np.multiply(i, new, new)
        np.add(cell, new, cell)
        np.tanh(cell, hidden)
        np.multiply(hidden, o, hidden)
        state.carry_on(hidden, cell)

    return hidden[:, None], [
        before,
        partial(np.add, gates, now, gates),
        partial(np.negative, sigmoids, sigmoids),
        *_over_one_plus_exp(*_numbers(z, 1), sigmoids),
        partial(np.tanh, new, new),
        after,
    ]
