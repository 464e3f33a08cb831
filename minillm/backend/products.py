"""The matrix product of NumPy's bodies: NumPy's own, or MKL's where that is installed.

The extra `mkl` (`pip install '.[mkl]'`) brings Intel's library, which is quicker than
NumPy's OpenBLAS on many Intel processors; `minillm doctor` measures both. MINILLM_MKL=0
leaves it unused.
"""

import ctypes
import functools
import os
from importlib import metadata

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from minillm.errors import UsageError

# Multiplications below which the call through ctypes costs more than MKL can save.
WORTH_IT = 200_000

# Multiplications up to which OpenBLAS has a kernel of its own for small products on
# processors with AVX-512: beyond, it packs both matrices first.
SMALL = 1_000_000
WITH_SMALL_PRODUCTS = ("SkylakeX", "Cooperlake", "Sapphirerapids")

# mkl_cblas.h, mkl_service.h
_ROW_MAJOR, _AS_IT_IS, _TRANSPOSED = 101, 111, 112
_LP64, _SEQUENTIAL = 0, 1


def matmul(a, b, out=None):
    """a @ b. Only two-dimensional float32 products can be MKL's; what does not fit
    together is NumPy's to refuse."""
    sgemm = _sgemm()
    if sgemm is None or a.ndim != 2 or b.ndim != 2 or a.dtype != np.float32:
        return np.matmul(a, b, out=out)
    (m, k), n = a.shape, b.shape[1]
    layout_a, layout_b = _layout(a), _layout(b)
    if m * n * k < WORTH_IT or b.dtype != a.dtype or None in (layout_a, layout_b):
        return np.matmul(a, b, out=out)
    if len(b) != k:
        return np.matmul(a, b, out=out)
    if out is None:
        out = np.empty((m, n), np.float32)
    elif out.shape != (m, n) or out.dtype != a.dtype or not _lies_in_rows(out):
        return np.matmul(a, b, out=out)
    sgemm(
        _ROW_MAJOR,
        layout_a[0],
        layout_b[0],
        m,
        n,
        k,
        1.0,
        _address(a),
        layout_a[1],
        _address(b),
        layout_b[1],
        0.0,
        _address(out),
        out.strides[0] // 4,
    )
    return out


def threads(n: int):
    """Let BLAS, which multiplies matrices for NumPy, use n threads: from now on, or
    for the length of a block (`with threads(1):`).

    The products of small models are too short to share: with one thread, a loop of
    one's own is several times faster on cores that others use too. Training sets one
    thread for each of its workers by itself. Raises UsageError.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise UsageError(f"threads must be a whole number of at least 1, got {n!r}")
    return threadpool_limits(limits=n, user_api="blas")


@functools.cache
def has_small_products() -> bool:
    """Whether an OpenBLAS here multiplies SMALL matrices without packing them."""
    return any(kind in WITH_SMALL_PRODUCTS for kind in kernels())


def kernels() -> list[str]:
    """The kinds of processors that the loaded BLAS libraries compute for, as far as
    they tell: ["Haswell"]."""
    found = [each.get("architecture") for each in threadpool_info()]
    return [kind for kind in found if kind]


def library() -> dict:
    """What multiplies: {"name", "version", "problem"}; a problem is why an installed
    MKL is not used, None where all is well."""
    try:
        version = metadata.version("mkl")
    except metadata.PackageNotFoundError:
        return {"name": "NumPy", "version": np.__version__, "problem": None}
    if os.environ.get("MINILLM_MKL") == "0":
        return {"name": "NumPy", "version": np.__version__, "problem": None}
    try:
        _load()
    except (OSError, AttributeError, ArithmeticError) as error:
        problem = f"MKL {version} is installed but cannot be used: {error}"
        return {"name": "NumPy", "version": np.__version__, "problem": problem}
    return {"name": "MKL", "version": version, "problem": None}


@functools.cache
def _sgemm():
    """MKL's product, None where NumPy's is used. Loaded with the first product."""
    return _load() if library()["name"] == "MKL" else None


@functools.cache
def _load():
    """`cblas_sgemm` of the installed package. Raises OSError or AttributeError where it
    does not load, ArithmeticError where it computes something else."""
    names = ("libmkl_rt.", "mkl_rt.")
    files = [f for f in metadata.files("mkl") or () if f.name.startswith(names)]
    if not files:
        raise OSError("the package holds no mkl_rt library")
    mkl = ctypes.CDLL(str(files[0].locate()))
    mkl.MKL_Set_Interface_Layer(_LP64)
    mkl.MKL_Set_Threading_Layer(_SEQUENTIAL)  # a worker is one core's work
    i, f, p = ctypes.c_int, ctypes.c_float, ctypes.c_void_p
    sgemm = mkl.cblas_sgemm
    sgemm.argtypes = [i, i, i, i, i, i, f, p, i, p, i, f, p, i]
    sgemm.restype = None
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    y = np.empty((2, 2), np.float32)
    how = (_ROW_MAJOR, _AS_IT_IS, _TRANSPOSED, 2, 2, 3, 1.0)
    sgemm(*how, _address(x), 3, _address(x), 3, 0.0, _address(y), 2)
    if not np.array_equal(y, x @ x.T):
        raise ArithmeticError("it computes wrong products")
    return sgemm


def _layout(x):
    """(as it is or transposed, the distance between its rows) in BLAS's words, None for
    an array that has no such words."""
    rows, columns = x.strides
    if columns == 4 and rows >= 4 * x.shape[1] and rows % 4 == 0:
        return _AS_IT_IS, rows // 4
    if rows == 4 and columns >= 4 * x.shape[0] and columns % 4 == 0:
        return _TRANSPOSED, columns // 4
    return None


def _lies_in_rows(x) -> bool:
    layout = _layout(x)
    return layout is not None and layout[0] == _AS_IT_IS


def _address(x) -> int:
    return x.__array_interface__["data"][0]
