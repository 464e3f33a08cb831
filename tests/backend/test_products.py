"""The matrix product behind NumPy's bodies: NumPy's answers, whoever multiplies."""

import ctypes
import itertools

import numpy as np
import pytest

from minillm.backend import products

# What cblas_sgemm is told, by name.
ROW_MAJOR, AS_IT_IS, TRANSPOSED = 101, 111, 112


def stored(address: int, rows: int, columns: int, distance: int) -> np.ndarray:
    """The matrix of float32 that lies at an address, `distance` from row to row."""
    assert distance >= max(1, columns)
    n = (rows - 1) * distance + columns
    numbers = np.ctypeslib.as_array((ctypes.c_float * n).from_address(address))
    strides = (4 * distance, 4)
    return np.lib.stride_tricks.as_strided(numbers, (rows, columns), strides)


class Sgemm:
    """cblas_sgemm in NumPy, as particular about its arguments as BLAS is."""

    def __init__(self):
        self.calls = []
        self.sizes = []

    def __call__(self, order, how_a, how_b, m, n, k, alpha, a, lda, b, ldb, beta, c, d):
        assert order == ROW_MAJOR
        assert {how_a, how_b} <= {AS_IT_IS, TRANSPOSED}
        assert all(type(x) is int for x in (m, n, k, a, lda, b, ldb, c, d))
        a = stored(a, *((m, k) if how_a == AS_IT_IS else (k, m)), lda)
        b = stored(b, *((k, n) if how_b == AS_IT_IS else (n, k)), ldb)
        c = stored(c, m, n, d)
        a, b = a if how_a == AS_IT_IS else a.T, b if how_b == AS_IT_IS else b.T
        c[...] = alpha * (a @ b) + (beta * c if beta else 0)
        self.calls.append((how_a, how_b))
        self.sizes.append((m, n, k))


@pytest.fixture
def sgemm(monkeypatch) -> Sgemm:
    """A stand-in for MKL's product, for products of any size."""
    found = Sgemm()
    monkeypatch.setattr(products, "_sgemm", lambda: found)
    monkeypatch.setattr(products, "WORTH_IT", 1)
    return found


@pytest.fixture(params=["stand-in", "MKL", "NumPy"])
def multiplier(request, monkeypatch):
    """Whatever may multiply, for products of any size."""
    found = {"stand-in": Sgemm(), "NumPy": None}
    if request.param == "MKL":
        monkeypatch.delenv("MINILLM_MKL", raising=False)
        if products.library()["name"] != "MKL":
            pytest.skip("needs the extra `mkl`")
        found["MKL"] = products._load()
    monkeypatch.setattr(products, "_sgemm", lambda: found[request.param])
    monkeypatch.setattr(products, "WORTH_IT", 1)


def matrix(rows: int, columns: int) -> np.ndarray:
    rng = np.random.default_rng([rows, columns])
    return rng.standard_normal((rows, columns)).astype(np.float32)


def repeated(x):
    return np.broadcast_to(x[:1], x.shape)


# name -> (how an array of some shape is made, how BLAS is told of it)
LAYOUTS = {
    "C order": (matrix, AS_IT_IS),
    "Fortran order": (lambda n, d: np.asfortranarray(matrix(n, d)), TRANSPOSED),
    "transposed": (lambda n, d: matrix(d, n).T, TRANSPOSED),
    "some columns": (lambda n, d: matrix(n, d + 5)[:, 2 : d + 2], AS_IT_IS),
    "every third row": (lambda n, d: matrix(3 * n, d)[::3], AS_IT_IS),
    "some rows, transposed": (lambda n, d: matrix(d, n + 5).T[2 : n + 2], TRANSPOSED),
    "rows reversed": (lambda n, d: matrix(n, d)[::-1], None),
    "columns reversed": (lambda n, d: matrix(n, d)[:, ::-1], None),
    "every other column": (lambda n, d: matrix(n, 2 * d)[:, ::2], None),
    "one row, repeated": (lambda n, d: repeated(matrix(n, d)), None),
    "overlapping rows": (
        lambda n, d: np.lib.stride_tricks.as_strided(matrix(n, d), (n, d), (4, 4)),
        None,
    ),
}
# the others have one number in two places
WRITABLE = [*LAYOUTS][:-2]
SHAPES = [(5, 7, 3), (1, 7, 3), (5, 1, 3), (5, 7, 1), (1, 7, 1), (5, 1, 1), (1, 1, 1)]


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_numpy_s_product(multiplier, name):
    for (m, k, n), (make_b, _) in itertools.product(SHAPES, LAYOUTS.values()):
        a, b = LAYOUTS[name][0](m, k), make_b(k, n)
        found = products.matmul(a, b)
        assert (found.shape, found.dtype) == ((m, n), np.float32)
        np.testing.assert_allclose(found, a @ b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name_a", "name_b"), [*itertools.product(LAYOUTS, LAYOUTS)])
def test_blas_is_given_what_it_has_words_for(sgemm, name_a, name_b):
    (make_a, how_a), (make_b, how_b) = LAYOUTS[name_a], LAYOUTS[name_b]
    products.matmul(make_a(5, 7), make_b(7, 3))
    assert sgemm.calls == ([] if None in (how_a, how_b) else [(how_a, how_b)])


@pytest.mark.parametrize("name", WRITABLE)
def test_the_product_is_written_where_it_is_wanted(multiplier, name):
    a, b = matrix(5, 7), matrix(7, 3)
    out = LAYOUTS[name][0](5, 3)
    around = out if out.base is None else out.base
    before = around.copy()
    out[...] = np.nan
    untouched = ~np.isnan(around)
    assert products.matmul(a, b, out=out) is out
    np.testing.assert_allclose(out, a @ b, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(around[untouched], before[untouched])


@pytest.mark.parametrize("name", WRITABLE)
def test_blas_writes_rows_only(sgemm, name):
    make, how = LAYOUTS[name]
    products.matmul(matrix(5, 7), matrix(7, 3), out=make(5, 3))
    assert len(sgemm.calls) == (how == AS_IT_IS)


@pytest.mark.parametrize("shape", [(0, 7, 3), (5, 0, 3), (5, 7, 0), (0, 0, 0)])
def test_products_of_nothing(multiplier, shape):
    m, k, n = shape
    found = products.matmul(matrix(m, k), matrix(k, n))
    assert found.shape == (m, n)
    assert not found.any()


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (matrix(5, 7).astype(float), matrix(7, 3).astype(float)),
        (matrix(5, 7).astype(float), matrix(7, 3)),
        (matrix(5, 7), matrix(7, 3).astype(float)),
        (matrix(5, 7).astype(np.float16), matrix(7, 3).astype(np.float16)),
        (matrix(5, 7), matrix(7, 3).view(np.int32) % 9),
        (matrix(5, 7).astype(">f4"), matrix(7, 3)),
        (matrix(10, 7).reshape(2, 5, 7), matrix(7, 3)),
        (matrix(5, 7), matrix(14, 3).reshape(2, 7, 3)),
        (matrix(7, 1)[:, 0], matrix(7, 3)),
        (matrix(5, 7), matrix(7, 1)[:, 0]),
    ],
)
def test_other_types_and_more_axes_are_numpy_s(sgemm, a, b):
    found = products.matmul(a, b)
    assert found.dtype == np.result_type(a, b)
    np.testing.assert_array_equal(found, a @ b)
    out = np.empty_like(found)
    assert products.matmul(a, b, out=out) is out
    np.testing.assert_array_equal(out, found)
    assert not sgemm.calls


@pytest.mark.parametrize("out", [np.empty((5, 3)), np.empty((5, 3), np.complex64)])
def test_the_product_is_written_in_another_type(sgemm, out):
    a, b = matrix(5, 7), matrix(7, 3)
    np.testing.assert_allclose(products.matmul(a, b, out=out), a @ b, rtol=1e-5)
    assert not sgemm.calls


def test_what_does_not_fit_together_is_refused(multiplier):
    a = matrix(5, 7)
    for b, out in [
        (matrix(6, 3), None),
        (matrix(8, 3), None),
        (matrix(7, 3), np.empty((4, 3), np.float32)),
        (matrix(7, 3), np.empty((5, 4), np.float32)),
        (matrix(7, 3), np.empty((5, 3), np.int32)),
    ]:
        with pytest.raises((ValueError, TypeError)):
            products.matmul(a, b, out=out)


def test_small_products_are_not_worth_a_call(sgemm, monkeypatch):
    monkeypatch.setattr(products, "WORTH_IT", 5 * 7 * 3)
    out = np.empty((5, 2), np.float32)
    assert products.matmul(matrix(5, 7), matrix(7, 2), out=out) is out
    assert not sgemm.calls
    products.matmul(matrix(5, 7), matrix(7, 3))
    assert sgemm.calls


class Library:
    """What ctypes.CDLL would give of a library with these functions."""

    def __init__(self, **functions):
        self.settings = []
        self.MKL_Set_Interface_Layer = lambda n: self.settings.append(("interface", n))
        self.MKL_Set_Threading_Layer = lambda n: self.settings.append(("threads", n))
        vars(self).update(functions)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that installs a package `mkl` 2026.1 with these files; ctypes finds
    `library` in the one that it opens, or really opens it."""

    def run(*files: str, library: Library | None = None) -> None:
        about = tmp_path / "mkl-2026.1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Name: mkl\nVersion: 2026.1\n", "utf-8")
        record = "".join(f"{name},,\n" for name in files)
        (about / "RECORD").write_text(record, "utf-8")
        for name in files:
            (tmp_path / name).write_text("no library", "utf-8")
        if library:
            opened = {str(tmp_path / name): library for name in files[-1:]}
            monkeypatch.setattr(products.ctypes, "CDLL", opened.__getitem__)

    monkeypatch.delenv("MINILLM_MKL", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    yield run
    forget()


def forget() -> None:
    products._load.cache_clear()
    products._sgemm.cache_clear()


def product() -> np.ndarray:
    """Of two matrices that are worth a call."""
    a, b = matrix(100, 60), matrix(60, 50)
    found = products.matmul(a, b)
    np.testing.assert_allclose(found, a @ b, rtol=1e-4, atol=1e-4)
    return found


@pytest.mark.parametrize("name", ["libmkl_rt.so.3", "mkl_rt.2.dll"])
def test_an_installed_mkl_multiplies_on_one_core(install, name):
    sgemm = Sgemm()

    def cblas_sgemm(*arguments):
        sgemm(*arguments)

    library = Library(cblas_sgemm=cblas_sgemm)
    install("libmkl_rt_other.so", "notes.txt", name, library=library)
    found = products.library()
    assert found == {"name": "MKL", "version": "2026.1", "problem": None}
    # mkl_service.h: MKL_INTERFACE_LP64 0, MKL_THREADING_SEQUENTIAL 1
    assert library.settings == [("interface", 0), ("threads", 1)]
    product()
    assert sgemm.calls == [(AS_IT_IS, TRANSPOSED), (AS_IT_IS, AS_IT_IS)]
    assert sgemm.sizes == [(2, 2, 3), (100, 50, 60)]  # a trial, and the product


def does_nothing(*_):
    pass


BROKEN = {
    "a package without a library": (["notes.txt"], None, "no mkl_rt library"),
    "a package without files": ([], None, "no mkl_rt library"),
    "a library that does not load": (["libmkl_rt.so.2"], None, "libmkl_rt"),
    "a library without products": (["libmkl_rt.so.2"], Library(), "cblas_sgemm"),
    "wrong products": (
        ["libmkl_rt.so.2"],
        Library(cblas_sgemm=does_nothing),
        "computes wrong products",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_mkl_that_is_broken_is_named_and_numpy_multiplies(install, case):
    files, library, reason = BROKEN[case]
    install(*files, library=library)
    found = products.library()
    assert (found["name"], found["version"]) == ("NumPy", np.__version__)
    assert found["problem"].startswith("MKL 2026.1 is installed but cannot be used: ")
    assert reason in found["problem"]
    assert "\n" not in found["problem"]
    product()


def test_mkl_is_left_unused_where_that_is_asked_for(install, monkeypatch):
    numpy_s = {"name": "NumPy", "version": np.__version__, "problem": None}
    monkeypatch.setenv("MINILLM_MKL", "0")
    install("libmkl_rt.so.2", library=Library(cblas_sgemm=does_nothing))
    assert products.library() == numpy_s
    product()
    monkeypatch.setenv("MINILLM_MKL", "1")
    assert products.library()["problem"]


def test_without_the_package_numpy_multiplies(monkeypatch):
    def version(name):
        raise products.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(products.metadata, "version", version)
    found = products.library()
    assert found == {"name": "NumPy", "version": np.__version__, "problem": None}


@pytest.mark.parametrize(
    ("loaded", "kernels", "small"),
    [
        ([{}, {"architecture": None}], [], False),
        ([{"architecture": "Haswell"}], ["Haswell"], False),
        ([{"architecture": x} for x in ("Zen", "SkylakeX")], ["Zen", "SkylakeX"], True),
    ],
)
def test_what_the_kernels_are_for(monkeypatch, loaded, kernels, small):
    monkeypatch.setattr(products, "threadpool_info", lambda: loaded)
    assert products.kernels() == kernels
    assert products.has_small_products.__wrapped__() is small
