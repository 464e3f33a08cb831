"""`add.at` for CUDA, with the same sums in every run: the gradient of a lookup.

CuPy's lets threads add as they come (atomics), and floating-point sums depend on the
order. Here the index is sorted on the host, and one thread a column adds up each run of
equal rows, first to last.
"""

import functools
import math

import numpy as np

# One number of `sums` (n_runs, width): a column of the rows order[begin:end] of values.
ADD_RUN = """
    long long run = i / width, column = i % width;
    T sum = 0;
    for (int j = ends[run]; j < ends[run + 1]; ++j)
        sum += values[order[j] * (long long)width + column];
    total = sum;
"""


def add_at(device, array, index, values) -> None:
    """array[index] += values, where an index may name a row several times.

    An index on the device is read, which waits for it.
    """
    parts = index if isinstance(index, tuple) else (index,)
    there = device.array_type
    parts = [device.to_numpy(p) if isinstance(p, there) else p for p in parts]
    rows, n_rows = flat_rows(array.shape, tuple(parts))
    if not rows.size or not array.size:
        return
    order, begins = runs(rows)
    parts = order, np.append(begins, rows.size), rows[order[begins]]
    moved = device.asarray(np.concatenate(parts).astype(np.int32))  # all at once
    order, ends, chosen = device.xp.split(moved, [rows.size, moved.size - len(begins)])
    width = array.size // n_rows
    values = device.xp.ascontiguousarray(values, array.dtype)
    sums = device.xp.empty((len(begins), width), array.dtype)
    _kernel(device)(values, order, ends, width, sums)
    table = array.reshape(n_rows, width)  # a view: gradients lie in one piece
    table[chosen] += sums


def runs(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(order, begins): the order that sorts ids (n,), equal ones as they came, and
    where in it each run of equal ones begins."""
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    return order, np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))


def flat_rows(shape: tuple, parts: tuple) -> tuple[np.ndarray, int]:
    """(rows, n_rows): the rows that an index names, where all axes that it counts
    through are made one of n_rows. Whole numbers out of range wrap around, as on a
    GPU."""
    if all(isinstance(p, (int, list, np.ndarray, np.integer)) for p in parts):
        axes = shape[: len(parts)]
        rows = np.ravel_multi_index(parts, axes, mode="wrap")
    else:  # slices between them: each number is a row of its own
        axes = shape
        rows = np.arange(math.prod(shape)).reshape(shape)[parts]
    return np.ravel(rows), math.prod(axes)


@functools.cache
def _kernel(device):
    return device.xp.ElementwiseKernel(
        "raw T values, raw int32 order, raw int32 ends, int32 width",
        "T total",
        ADD_RUN,
        "minillm_add_run",
    )
