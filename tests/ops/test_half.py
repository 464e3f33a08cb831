"""Half precision is for keeping numbers: what is counted, squared or added up along the
way fits into float32 only."""

import contextlib

import numpy as np
import pytest

from minillm import Tensor, backend, debug, ops
from minillm.testing import TABLE

MANY = 70_000  # more than half precision can count
RNG = np.random.default_rng(0)
START = RNG.bit_generator.state


@pytest.fixture(params=["faster", "plain"])
def body(request):
    plain = request.param == "plain"
    with backend.plain() if plain else contextlib.nullcontext():
        yield


def rows(n: int, width: int, size: float = 1.0) -> np.ndarray:
    return RNG.standard_normal((n, width)) * size


def harder(name: str) -> list:
    """[(arrays, settings)] with many numbers or large ones."""
    RNG.bit_generator.state = START
    last = {"targets": np.full(MANY, 1)}
    ids = {"ids": RNG.integers(0, 3, 7000)}
    match name:
        case "sum" | "max" | "mean" | "min" | "var" | "std" | "logsumexp":
            along = {"axis": 0}
            return [([np.full(MANY, 0.5)], {}), ([rows(MANY, 2, 0.01)], along)]
        case "softmax" | "log_softmax":
            return [([np.zeros((2, MANY))], {}), ([rows(2, MANY, 300)], {})]
        case "cross_entropy":
            return [([np.zeros((MANY, 2))], last)]
        case "linear_cross_entropy":
            some = {"targets": np.arange(5)}
            return [
                ([rows(MANY, 4), rows(3, 4)], last),
                ([rows(5, 400, 30), rows(30, 400, 30)], some),
            ]
        case "layer_norm":
            opposite = np.tile([300.0, -300.0], (3, 4))
            ones = np.ones(8)
            return [
                ([opposite, ones, ones], {}),
                ([200 * opposite, ones, None], {}),
                ([rows(MANY, 4), np.ones(4), np.ones(4)], {}),
            ]
        case "rms_norm":
            ones = np.ones(8)
            return [
                ([np.full((3, 8), 300.0), ones], {}),  # its square overflows
                ([rows(MANY, 4), np.ones(4)], {}),
            ]
        case "cumsum":
            return [([np.full(MANY, 0.5)], {"axis": 0})]
        case "gelu" | "sigmoid" | "relu" | "silu" | "softplus" | "abs":
            return [([np.array([-6e4, -200, -17, 0, 17, 200, 6e4])], {})]
        case "swiglu":
            return [([np.array([-6e4, -17, 0, 17, 200]), np.full(5, 2.0)], {})]
        case "linear":
            return [([rows(MANY, 2, 0.02), rows(2, 2), np.ones(2)], {})]
        case "einsum":
            columns = [np.full((2, MANY), 0.01), np.full((MANY, 2), 0.01)]
            return [(columns, {"subscripts": "ij,jk"})]
        case "take_along_axis":
            return [([rows(2, 3)], {"indices": RNG.integers(0, 3, (2, 7000))})]
        case "matmul":
            return [([np.full((2, MANY), 0.01), np.full((MANY, 2), 0.01)], {})]
        case "add" | "mul":
            return [([rows(MANY, 2, 0.02), np.ones(2)], {})]
        case "power":
            return [([np.array([200.0, 0.01])], {"exponent": 2})]
        case "embedding":
            return [([rows(3, 2)], ids)]
        case "getitem":
            return [([rows(3, 2)], {"index": ids["ids"]})]
        case "attention":
            far = {"mask": np.full((5, 5), -6e4, np.float16)}
            long = [10 * RNG.standard_normal((1, n, 4)) for n in (30, 9000, 9000)]
            return [(long, {}), ([RNG.standard_normal((3, 5, 4))] * 3, far)]
        case "lstm":
            x, weights = (
                RNG.standard_normal((2, 300, 3)),
                (rows(3, 8), None, rows(2, 8)),
            )
            return [([x, *weights, None, None], {})]
    return []


def value_and_gradients(op, arrays, settings, dtype) -> list:
    leaves = [
        None if x is None else Tensor(x.astype(np.float16).astype(dtype), True)
        for x in arrays
    ]
    value = op(*leaves, **settings)
    u = np.random.default_rng(1).standard_normal(value.shape).astype(np.float16)
    value.backward(u)
    return [value.numpy(), *(leaf.grad for leaf in leaves if leaf is not None)]


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
def test_an_op_differs_by_one_rounding(row, body):
    for arrays, settings in row.examples(6) + harder(row.name):
        found = value_and_gradients(row.op, arrays, settings, np.float16)
        exact = value_and_gradients(row.op, arrays, settings, np.float64)
        for a, b in zip(found, exact, strict=True):
            assert a.dtype == np.float16
            rounded = b.astype(np.float16)
            finite = np.isfinite(rounded)
            np.testing.assert_array_equal(a[~finite], rounded[~finite])
            largest = np.abs(rounded[finite]).max(initial=0)
            atol = 1e-3 * float(largest) + 1e-6
            np.testing.assert_allclose(a[finite], rounded[finite], 2e-3, atol)


def leaf(array) -> Tensor:
    return Tensor(np.asarray(array, np.float16), requires_grad=True)


def test_a_gradient_that_comes_in_many_parts_adds_up():
    """From 2048 on half precision cannot count by ones."""
    x = leaf([1.0])
    y = x * 1
    parts = ops.concatenate(*[y] * 5000)
    parts.sum().backward()
    assert x.grad.tolist() == [5000]
    assert x.grad.dtype == np.float16


def test_beside_float32_the_result_is_float32():
    x = leaf([0.1, 0.2])
    w = Tensor(np.ones(2, np.float32), requires_grad=True)
    y = x * w
    y.sum().backward()
    assert (y.dtype, x.grad.dtype, w.grad.dtype) == (np.float32, np.float16, np.float32)


def test_debug_mode_finds_nothing_wrong_with_two_types():
    with debug():
        x, w = leaf([0.1, 0.2]), Tensor(np.ones(2, np.float32), requires_grad=True)
        ((x * x).mean() + (x * w).sum()).backward()
    assert x.grad.dtype == np.float16


def test_retained_and_given_gradients_are_half_too():
    x = leaf([3.0, 4.0])
    y = (x * x).retain_grad()
    y.backward(np.ones(2, np.float16))
    assert y.grad.dtype == x.grad.dtype == np.float16
    assert x.grad.tolist() == [6, 8]
