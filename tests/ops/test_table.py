"""The table of ops is complete: no public op and no method of Tensor lacks a row."""

import importlib
import pkgutil

import numpy as np
import pytest

from minillm import Tensor, ops
from minillm.testing import TABLE, Row, gradcheck
from minillm.testing.choices import seeded

# What a Tensor can do that is not an op.
NOT_OPS = {
    "argmax",
    "backward",
    "data",
    "detach",
    "dtype",
    "edges",
    "grad",
    "item",
    "made_by",
    "ndim",
    "numpy",
    "requires_grad",
    "retain_grad",
    "retains_grad",
    "shape",
    "size",
    "__array__",
    "__array_ufunc__",
    "__bool__",
    "__contains__",
    "__eq__",
    "__float__",
    "__format__",
    "__ge__",
    "__gt__",
    "__init__",
    "__int__",
    "__iter__",
    "__le__",
    "__len__",
    "__lt__",
    "__ne__",
    "__repr__",
    "__setitem__",
}
OWN = {name for name in vars(Tensor) if not hasattr(object, name)} | {
    name for name in vars(Tensor) if vars(Tensor)[name] is not vars(object).get(name)
}
FILES = list(pkgutil.iter_modules(ops.__path__))
BY_PYTHON = {"__doc__", "__module__", "__dict__", "__weakref__", "__qualname__"}
BY_PYTHON |= {"__static_attributes__", "__firstlineno__"}
BY_PYTHON |= {"__annotations__", "__annotate_func__", "__annotations_cache__"}


def test_every_public_op_has_a_row():
    assert set(TABLE) == set(ops.__all__) - {"IGNORED"}


def test_every_op_that_is_defined_is_public():
    """An op is what carries its rule: none may hide from the table in its file."""
    files = [importlib.import_module(f"minillm.ops.{file.name}") for file in FILES]
    defined = {
        value.__name__
        for file in files
        for value in vars(file).values()
        if hasattr(value, "rule")
    }
    assert defined == set(TABLE)


def test_every_method_of_tensor_has_a_row():
    methods = {method for row in TABLE.values() for method in row.methods}
    assert methods == OWN - BY_PYTHON - NOT_OPS


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
def test_a_row_draws_what_the_op_takes(row):
    for arrays, settings in row.examples(5):
        result = row.op(*arrays, **settings)
        assert result.dtype == np.float64
        assert np.isfinite(result.numpy()).all()


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
def test_examples_are_always_the_same(row):
    assert repr(row.examples(2)) == repr(row.examples(2))


X, Y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 7.0], [11.0, 13.0]])
BY_METHOD = {
    "__add__": (lambda t: t + Y, X + Y),
    "__radd__": (lambda t: Y + t, Y + X),
    "__sub__": (lambda t: t - Y, X - Y),
    "__rsub__": (lambda t: Y - t, Y - X),
    "__mul__": (lambda t: t * Y, X * Y),
    "__rmul__": (lambda t: Y * t, Y * X),
    "__truediv__": (lambda t: t / Y, X / Y),
    "__rtruediv__": (lambda t: Y / t, Y / X),
    "__neg__": (lambda t: -t, -X),
    "__pow__": (lambda t: t**3, X**3),
    "__matmul__": (lambda t: t @ Y, X @ Y),
    "__rmatmul__": (lambda t: Y @ t, Y @ X),
    "__getitem__": (lambda t: t[1, :1], X[1, :1]),
    "exp": (lambda t: t.exp(), np.exp(X)),
    "log": (lambda t: t.log(), np.log(X)),
    "sqrt": (lambda t: t.sqrt(), np.sqrt(X)),
    "tanh": (lambda t: t.tanh(), np.tanh(X)),
    "sum": (lambda t: t.sum(0, keepdims=True), X.sum(0, keepdims=True)),
    "mean": (lambda t: t.mean(axis=1), X.mean(1)),
    "max": (lambda t: t.max(-1), X.max(-1)),
    "reshape": (lambda t: t.reshape(4, 1), X.reshape(4, 1)),
    "transpose": (lambda t: t.transpose(1, 0), X.T),
    "T": (lambda t: t.T, X.T),
}


@pytest.mark.parametrize(
    ("row", "method"),
    [(row, method) for row in TABLE.values() for method in row.methods],
    ids=lambda value: value.name if isinstance(value, Row) else value,
)
def test_a_method_calls_its_op(row, method):
    call, expected = BY_METHOD[method]
    result = call(Tensor(X, requires_grad=True))
    assert result.made_by == row.name
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-15)


def test_reshape_and_transpose_take_a_tuple_too():
    x = Tensor(np.arange(6.0).reshape(1, 2, 3))
    assert x.reshape((3, 2)).shape == x.reshape(3, 2).shape == (3, 2)
    assert x.transpose((2, 0, 1)).shape == x.transpose(2, 0, 1).shape == (3, 1, 2)
    assert x.transpose().shape == (3, 2, 1)


def test_a_wrong_op_in_the_table_is_found(monkeypatch):
    from minillm.tensor import op

    @op
    def sub(x, y):
        return x - y, lambda g: g, lambda g: g  # a sign forgotten

    monkeypatch.setitem(TABLE, "sub", Row(sub, TABLE["sub"].inputs))
    right, wrong = gradcheck(["add", "sub"])
    assert right.ok
    assert not wrong.ok
    assert "sub: the gradient with respect to y" in wrong.message


def test_choices_by_a_seed_are_repeatable():
    assert seeded(3).shape() == seeded(3).shape()
    draws = {seeded(i).axes(2) for i in range(60)}
    assert {None, 0, 1, -1, -2, (0,), (1, 0), (-2, 1)} <= draws
