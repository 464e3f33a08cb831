"""The table of ops is complete: no public op and no method of Tensor lacks a row."""

import importlib
import pkgutil
import pydoc

import numpy as np
import pytest

from minillm import Tensor, ops
from minillm.testing import TABLE, Row, gradcheck
from minillm.testing.choices import seeded

# What a Tensor can do that is not an op.
NOT_OPS = {
    "_numbers",
    "_repr_html_",
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
    "split",
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
    assert set(TABLE) == set(ops.__all__) - {"IGNORED", "split"}  # getitem in parts


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
    "__rpow__": (lambda t: 2**t, 2**X),
    "__abs__": (lambda t: abs(t), np.abs(X)),
    "abs": (lambda t: t.abs(), np.abs(X)),
    "sin": (lambda t: t.sin(), np.sin(X)),
    "cos": (lambda t: t.cos(), np.cos(X)),
    "log1p": (lambda t: t.log1p(), np.log1p(X)),
    "maximum": (lambda t: t.maximum(2.5), np.maximum(X, 2.5)),
    "minimum": (lambda t: t.minimum(Y / 5), np.minimum(X, Y / 5)),
    "clip": (lambda t: t.clip(1.5, 3.5), np.clip(X, 1.5, 3.5)),
    "relu": (lambda t: t.relu(), X),
    "sigmoid": (lambda t: t.sigmoid(), 1 / (1 + np.exp(-X))),
    "gelu": (lambda t: t.gelu("tanh"), ops.gelu(X).numpy()),
    "silu": (lambda t: t.silu(), X / (1 + np.exp(-X))),
    "softplus": (lambda t: t.softplus(), np.log(1 + np.exp(X))),
    "softmax": (lambda t: t.softmax(0), np.exp(X) / np.exp(X).sum(0)),
    "log_softmax": (lambda t: t.log_softmax(), X - np.log(np.exp(X).sum(1))[:, None]),
    "logsumexp": (lambda t: t.logsumexp(1), np.log(np.exp(X).sum(1))),
    "min": (lambda t: t.min(0), X.min(0)),
    "var": (lambda t: t.var(1, ddof=1), X.var(1, ddof=1)),
    "std": (lambda t: t.std(), X.std()),
    "cumsum": (lambda t: t.cumsum(-1), X.cumsum(1)),
    "squeeze": (lambda t: t.squeeze(), X),
    "pad": (lambda t: t.pad(1), np.pad(X, 1)),
    "broadcast_to": (lambda t: t.broadcast_to((2, 2, 2)), np.stack([X, X])),
    "take_along_axis": (
        lambda t: t.take_along_axis(np.array([[1], [0]])),
        np.array([[2.0], [3.0]]),
    ),
    "tril": (lambda t: t.tril(), np.array([[1.0, 0.0], [3.0, 4.0]])),
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


CALLED = {
    "__neg__": "neg()",
    "__radd__": "__radd__(other)",
    "__getitem__": "__getitem__(index)",
    "exp": "exp()",
    "sin": "sin()",
    "reshape": "reshape(*shape: int)",
    "sum": "sum(axis: int | tuple | None = None, keepdims: bool = False)",
}


@pytest.mark.parametrize(
    "method", sorted({m for row in TABLE.values() for m in row.methods} - {"T"})
)
def test_help_tells_the_name_the_arguments_and_what_a_method_does(method):
    text = pydoc.plain(pydoc.render_doc(getattr(Tensor(X), method)))
    _, _, call, sentence, *_ = text.splitlines()
    assert call.startswith(CALLED.get(method, f"{method}("))
    assert "method of minillm.tensor.Tensor" in call
    assert len(sentence.strip()) > 1
    assert "lambda" not in text


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
