"""The matrix product of CUDA's bodies: cuBLAS, called on a handle of our own.

CuPy's `@` copies what lies transposed or in views, multiplies three axes by two as many
small products, and refuses to multiply while a graph is captured. cuBLAS needs none of
that: it takes the distance between the rows of an array, and between the matrices of a
batch. The twin of `products.py`, for the other device.
"""

import ctypes
import functools
import math
from dataclasses import dataclass

import numpy as np

from minillm.backend import switch
from minillm.backend.arrays import SINGLE
from minillm.backend.switch import xp
from minillm.errors import DeviceError

# cublas_api.h
_AS_IT_IS, _TRANSPOSED = 0, 1
_STATUS = {1: "NOT_INITIALIZED", 3: "ALLOC_FAILED", 7: "INVALID_VALUE"}
_STATUS |= {8: "ARCH_MISMATCH", 13: "EXECUTION_FAILED", 14: "INTERNAL_ERROR"}
# What cuBLAS's manual recommends for Hopper and later, in bytes. With memory of its own
# a product adds up in the same order in every run.
WORKSPACE = 32 * 2**20
_ONE, _ZERO = ctypes.c_float(1), ctypes.c_float(0)
_TRIAL = np.arange(6, dtype=SINGLE).reshape(2, 3)


def matmul(a, b, out=None, add: bool = False):
    """a @ b, of matrices or, with equal axes before the last two, of batches of them.

    `out` is written into, a view too; with `add` the product is added to what is there.
    cuBLAS multiplies float32, `xp.matmul` the rest.
    """
    device = switch.current()
    blas = open_cublas(device)[0] if device.has_cublas else None
    shape = (*a.shape[:-1], b.shape[-1])
    single = a.dtype == b.dtype == SINGLE
    fit = a.ndim >= 2 and (*a.shape[:-2], a.shape[-1]) == b.shape[:-1]
    if blas is None or not (single and fit and a.size and b.size):
        return _by_the_library(a, b, out, add)
    if out is None:
        out, add = xp.empty(shape, SINGLE), False
    elif (out.shape, out.dtype) != (shape, SINGLE) or not _layout(out).is_rows:
        return _by_the_library(a, b, out, add)
    blas.multiply(_readable(a), _readable(b), out, add)
    return out


def sum_of_rows(x, place=None):
    """x.sum(0), or `place` with that sum added, as a product with a row of ones: cuBLAS
    has many cores add up each column.   (n, width) -> (width)"""
    ones = _ones(switch.current(), len(x))
    sums = matmul(ones, x, out=None if place is None else place[None], add=True)
    return sums[0]


@functools.lru_cache(maxsize=8)  # batches are of few lengths
def _ones(device, n: int):
    return device.xp.ones((1, n), SINGLE)


def _by_the_library(a, b, out, add: bool):
    product = xp.matmul(a, b)
    if out is None:
        return product
    if add:
        out += product
    else:
        out[...] = product
    return out


@dataclass(frozen=True)
class Layout:
    """How the matrices of an array lie, in BLAS's words."""

    how: int | None  # as it is, transposed, or in a way that BLAS has no word for
    distance: int  # between rows, in numbers

    @property
    def is_rows(self) -> bool:
        return self.how == _AS_IT_IS


def _layout(x) -> Layout:
    n, width = x.shape[-2:]
    row, column = (step // 4 for step in x.strides[-2:])
    # Where there is one row, or one column, its distance is never used.
    if (column == 1 or width == 1) and (row >= width or n == 1):
        return Layout(_AS_IT_IS, max(row, width))
    if (row == 1 or n == 1) and (column >= n or width == 1):
        return Layout(_TRANSPOSED, max(column, n))
    return Layout(None, 0)


def _readable(x):
    return x.copy() if _layout(x).how is None or min(x.strides) < 0 else x


def _address(x) -> int:
    return x.data.ptr


def library(device) -> dict:
    """What multiplies on a device: {"name", "problem"}; a problem is why cuBLAS is not
    used, None where all is well."""
    blas, problem = open_cublas(device)
    return {"name": "cuBLAS" if blas else "CuPy", "problem": problem}


@functools.cache
def open_cublas(device) -> "tuple[Cublas | None, str | None]":
    """(cuBLAS on this device, why there is none: CuPy then multiplies)"""
    try:
        return Cublas(device, _load()), None
    except (ImportError, OSError, AttributeError, RuntimeError, DeviceError) as error:
        told = " ".join(str(error).split())[:200]
        return None, f"cuBLAS cannot be used ({told}): CuPy multiplies, more slowly"


def _load() -> ctypes.CDLL:
    """cuBLAS, from where CuPy has it too."""
    from cuda import pathfinder

    # PyDLL: a call only queues its work, so the interpreter may wait for it.
    return ctypes.PyDLL(pathfinder.load_nvidia_dynamic_lib("cublas").abs_path)


class Cublas:
    """A handle of cuBLAS on a device. Raises AttributeError, DeviceError where the
    library does not do what it should."""

    def __init__(self, device, library):
        self._device = device
        self._library = library
        p, i, big = ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong
        library.cublasSgemmStridedBatched.argtypes = [
            *(p, i, i, i, i, i, p),
            *(p, i, big, p, i, big, p, p, i, big, i),
        ]
        library.cublasSetStream_v2.argtypes = [p, p]
        library.cublasSetWorkspace_v2.argtypes = [p, p, ctypes.c_size_t]
        self._handle = ctypes.c_void_p()
        self._check(library.cublasCreate_v2(ctypes.byref(self._handle)))
        self._stream = None
        self._workspace = device.xp.empty(WORKSPACE // 4, SINGLE)
        x = device.asarray(_TRIAL)
        found = device.xp.empty((2, 2), SINGLE)
        self.multiply(x, x.T, found, add=False)
        if device.to_numpy(found).tolist() != [[5, 14], [14, 50]]:
            raise DeviceError("cuBLAS computes wrong products")

    def multiply(self, a, b, out, add: bool) -> None:
        """out = a @ b, or out += a @ b: (..., n, k), (..., k, m) -> (..., n, m)"""
        self._go_with_the_stream()
        # cuBLAS counts down columns: to it our arrays are transposed, and so is their
        # product: outᵀ = bᵀ aᵀ.
        in_b, in_a = _layout(b), _layout(a)
        m, n, k = out.shape[-1], out.shape[-2], a.shape[-1]
        for (at_b, at_a, at_out), steps, count in _batches(b, a, out):
            status = self._library.cublasSgemmStridedBatched(
                *(self._handle, in_b.how, in_a.how, m, n, k, ctypes.byref(_ONE)),
                *(_address(b) + at_b, in_b.distance, steps[0] // 4),
                *(_address(a) + at_a, in_a.distance, steps[1] // 4),
                ctypes.byref(_ONE if add else _ZERO),
                *(_address(out) + at_out, _layout(out).distance, steps[2] // 4),
                count,
            )
            self._check(status)

    def _go_with_the_stream(self) -> None:
        stream = self._device.xp.cuda.get_current_stream().ptr
        if stream != self._stream:
            self._check(self._library.cublasSetStream_v2(self._handle, stream))
            # A new stream takes the workspace away.
            where = self._handle, _address(self._workspace), WORKSPACE
            self._check(self._library.cublasSetWorkspace_v2(*where))
            self._stream = stream

    def _check(self, status: int) -> None:
        if status:
            name = _STATUS.get(status, "")
            raise DeviceError(f"cuBLAS failed with status {status} {name}".rstrip())


def _batches(*arrays):
    """The calls that a batch takes: (where each array begins, from matrix to matrix of
    each, how many matrices), in bytes. Axes that lie evenly in all arrays are one; of
    the others the longest is a call's."""
    shape = arrays[0].shape[:-2]
    axes = [(n, tuple(x.strides[i] for x in arrays)) for i, n in enumerate(shape)]
    axes = [axis for axis in axes if axis[0] > 1] or [(1, (0,) * len(arrays))]
    merged = axes[:1]
    for n, steps in axes[1:]:
        before, outer = merged[-1]
        if all(far == n * near for far, near in zip(outer, steps, strict=True)):
            merged[-1] = before * n, steps
        else:
            merged.append((n, steps))
    merged.sort(key=lambda axis: axis[0])
    count, steps = merged.pop()
    for which in range(math.prod(n for n, _ in merged)):
        starts = [0] * len(arrays)
        for n, outer in merged:
            which, place = divmod(which, n)
            starts = [start + place * s for start, s in zip(starts, outer, strict=True)]
        yield starts, steps, count
