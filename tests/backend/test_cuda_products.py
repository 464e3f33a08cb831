"""The matrix product of CUDA's bodies: what cuBLAS is told, for every way in which
arrays lie, and who multiplies where it cannot be used."""

import ctypes
import itertools
import sys
import types

import numpy as np
import pytest

from minillm import backend
from minillm.backend import Backend, cuda_products
from minillm.backend.cuda_products import matmul

AS_IT_IS, TRANSPOSED = 0, 1  # CUBLAS_OP_N, CUBLAS_OP_T


class OnDevice(np.ndarray):
    """An array whose `data.ptr` says where it lies, as CuPy's."""

    @property
    def data(self):
        return types.SimpleNamespace(ptr=self.__array_interface__["data"][0])


def columns(address: int, rows: int, n: int, distance: int) -> np.ndarray:
    """The matrix that lies at an address, column by column."""
    assert distance >= max(1, rows)
    numbers = (ctypes.c_float * ((n - 1) * distance + rows)).from_address(address)
    flat = np.ctypeslib.as_array(numbers)
    return np.lib.stride_tricks.as_strided(flat, (rows, n), (4, 4 * distance))


class Library:
    """cuBLAS in NumPy, as particular about its arguments."""

    def __init__(self):
        self.products = []
        self.told = []
        self.status = 0
        self.factor = 1
        for name, function in (
            ("cublasCreate_v2", lambda handle: 0),
            ("cublasSetStream_v2", lambda *told: self.note("stream", *told[1:])),
            ("cublasSetWorkspace_v2", lambda *told: self.note("memory", told[2])),
            ("cublasSgemmStridedBatched", self.product),
        ):
            # Only functions have `argtypes`.
            setattr(self, name, lambda *told, function=function: function(*told))

    def note(self, *told) -> int:
        self.told.append(told)
        return 0

    def product(
        self, _handle, how_a, how_b, m, n, k, alpha, a, lda, step_a, b, ldb, step_b,
        beta, c, ldc, step_c, count,
    ):  # fmt: skip
        self.products.append(count)
        for i in range(count):
            shapes = (m, k) if how_a == AS_IT_IS else (k, m)
            left = columns(a + 4 * i * step_a, *shapes, lda)
            shapes = (k, n) if how_b == AS_IT_IS else (n, k)
            right = columns(b + 4 * i * step_b, *shapes, ldb)
            left = left if how_a == AS_IT_IS else left.T
            right = right if how_b == AS_IT_IS else right.T
            out = columns(c + 4 * i * step_c, m, n, ldc)
            before = beta._obj.value * out if beta._obj.value else 0
            out[...] = self.factor * alpha._obj.value * (left @ right) + before
        return self.status


class Device(Backend):
    """NumPy with a cuBLAS beside it."""

    name = "pretended"
    has_cublas = True

    def __init__(self):
        self.stream = 7
        empty = lambda *shape: np.full(*shape).view(OnDevice)  # noqa: E731
        self.xp = types.SimpleNamespace(
            matmul=np.matmul,
            empty=lambda shape, dtype: empty(shape, np.nan, dtype),
            cuda=types.SimpleNamespace(
                get_current_stream=lambda: types.SimpleNamespace(ptr=self.stream)
            ),
        )

    def asarray(self, host):
        return np.array(host).view(OnDevice)


@pytest.fixture
def library(monkeypatch) -> Library:
    found = Library()
    monkeypatch.setattr(cuda_products, "_load", lambda: found)
    return found


@pytest.fixture
def device(library):
    with backend.use(Device()) as found:
        assert cuda_products.library(found) == {"name": "cuBLAS", "problem": None}
        library.products.clear()
        yield found


def numbers(*shape: int) -> np.ndarray:
    rng = np.random.default_rng(shape)
    return rng.standard_normal(shape).astype(np.float32).view(OnDevice)


# name -> an array of some matrices, each of n rows of d numbers
LAYOUTS = {
    "C order": lambda n, d: numbers(2, 3, n, d),
    "transposed": lambda n, d: numbers(2, 3, d, n).swapaxes(-1, -2),
    "heads of a packed array": lambda n, d: numbers(2, n, 3, d).swapaxes(1, 2),
    "the same, transposed": lambda n, d: numbers(2, d, 3, n).transpose(0, 2, 3, 1),
    "some columns": lambda n, d: numbers(2, 3, n, d + 5)[..., 2 : d + 2],
    "every other row": lambda n, d: numbers(2, 3, 2 * n, d)[..., ::2, :],
    "every other column": lambda n, d: numbers(2, 3, n, 2 * d)[..., ::2],
    "rows reversed": lambda n, d: numbers(2, 3, n, d)[..., ::-1, :],
    "one matrix for all": lambda n, d: np.broadcast_to(numbers(n, d), (2, 3, n, d)),
}
SHAPES = [(5, 7, 4), (1, 7, 4), (5, 1, 4), (5, 7, 1), (1, 1, 1)]


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_numpys_product(device, library, name):
    for other, (n, k, m) in itertools.product(LAYOUTS, SHAPES):
        a, b = LAYOUTS[name](n, k), LAYOUTS[other](k, m)
        a, b = (x.view(OnDevice) for x in (a, b))
        expected = np.matmul(a, b)
        np.testing.assert_allclose(matmul(a, b), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(matmul(a[0, 0], b[0, 0]), expected[0, 0], 1e-4, 1e-5)
    assert sum(library.products) >= 7 * len(LAYOUTS) * len(SHAPES)


@pytest.mark.parametrize("add", [False, True])
def test_products_are_written_into_views(device, library, add):
    a, b = numbers(2, 3, 5, 7), numbers(2, 3, 7, 4)
    around = numbers(2, 5, 3, 4)
    out = around.swapaxes(1, 2)  # heads of a packed array
    expected = a @ b + (out if add else 0)
    if not add:
        out[...] = np.nan
    assert matmul(a, b, out=out, add=add) is out
    np.testing.assert_allclose(around.swapaxes(1, 2), expected, rtol=1e-4, atol=1e-5)
    assert library.products == [3, 3]  # the batches lie too far apart for one call


def test_batches_that_lie_evenly_are_one_call(device, library):
    matmul(numbers(2, 3, 5, 7), numbers(2, 3, 7, 4))
    packed = numbers(2, 5, 3, 7).swapaxes(1, 2)
    matmul(packed[:1], numbers(1, 3, 7, 4))
    matmul(packed, packed.swapaxes(-1, -2))
    assert library.products == [6, 3, 3, 3]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (numbers(5, 7).astype(float), numbers(7, 4).astype(float)),
        (numbers(5, 7), numbers(7, 4).astype(float)),
        (numbers(0, 7), numbers(7, 4)),
        (numbers(5, 0), numbers(0, 4)),
        (numbers(2, 5, 7), numbers(7, 4)),
        (numbers(1, 5, 7), numbers(3, 7, 4)),
    ],
)
def test_the_rest_is_the_librarys(device, library, a, b):
    found = matmul(a, b)
    np.testing.assert_array_equal(found, np.matmul(a, b))
    out = np.ones_like(found)
    assert matmul(a, b, out=out, add=True) is out
    np.testing.assert_array_equal(out, np.matmul(a, b) + 1)
    assert not library.products


def test_what_does_not_fit_together_is_refused(device):
    with pytest.raises(ValueError):
        matmul(numbers(5, 7), numbers(6, 4))
    with pytest.raises(ValueError):
        matmul(numbers(5, 7), numbers(7, 4), out=numbers(4, 4))


def test_a_handle_goes_with_the_stream_and_takes_its_memory_along(device, library):
    library.told.clear()
    matmul(numbers(5, 7), numbers(7, 4))
    assert not library.told  # it was opened on this stream
    device.stream = 9
    for _ in range(2):
        matmul(numbers(5, 7), numbers(7, 4))
    assert library.told == [("stream", 9), ("memory", cuda_products.WORKSPACE)]


def test_a_product_that_fails_is_an_error_with_its_name(device, library):
    library.status = 3
    with pytest.raises(backend.switch.DeviceError, match="status 3 ALLOC_FAILED"):
        matmul(numbers(5, 7), numbers(7, 4))


def test_a_library_that_computes_wrong_products_is_not_used(library):
    library.factor = 1.01
    with backend.use(Device()) as device:
        found = cuda_products.library(device)
        assert found["name"] == "CuPy"
        assert "(cuBLAS computes wrong products)" in found["problem"]
        a, b = numbers(5, 7), numbers(7, 4)
        np.testing.assert_array_equal(matmul(a, b), np.matmul(a, b))


def test_without_a_library_the_other_one_multiplies(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda", None)  # no pathfinder
    with backend.use(Device()) as device:
        assert "cuda" in cuda_products.library(device)["problem"]
        a, b = numbers(5, 7), numbers(7, 4)
        np.testing.assert_array_equal(matmul(a, b), np.matmul(a, b))
