"""Operators and methods of Tensor: `x + y` is `add(x, y)`, and so on.

Those without a gradient come last: comparisons, `in`, `argmax`.
"""

import functools
import operator

import numpy as np

from minillm import backend, ops
from minillm.backend.arrays import plain_number
from minillm.ops import arithmetic, neural, reduction, shape
from minillm.tensor import Tensor


def _hang(name: str, method, doc: str | None = None) -> None:
    """Give Tensor a method that tells its own name, arguments and purpose."""
    method.__name__, method.__qualname__ = name, f"Tensor.{name}"
    method.__doc__ = doc or method.__doc__
    setattr(Tensor, name, method)


def _binary(name: str, op) -> None:
    """x + y calls x.__add__(y) or, where x is no Tensor, y.__radd__(x)."""
    doc = (op.__doc__ or "").partition("\n")[0]  # python -OO leaves none
    _hang(f"__{name}__", lambda self, other: op(self, other), doc)
    _hang(f"__r{name}__", lambda self, other: op(other, self), f"{doc} self is y.")


_binary("add", arithmetic.add)
_binary("sub", arithmetic.sub)
_binary("mul", arithmetic.mul)
_binary("truediv", arithmetic.div)
_binary("matmul", arithmetic.matmul)


def _power(self, exponent):
    """x ** y, element by element; quickest for an exponent that is one number."""
    one = (int, float)
    if isinstance(exponent, one) or isinstance(plain_number(exponent), one):
        return arithmetic.power(self, exponent=exponent)
    return ops.pow(self, exponent)


def _power_of(self, base):
    """x ** y for a number or an array x; self is y."""
    return ops.pow(base, self)


_hang("__pow__", _power)
_hang("__rpow__", _power_of)
_hang("__getitem__", lambda self, index: shape.getitem(self, index=index), "x[index]")
Tensor.__neg__ = arithmetic.neg
_hang("__abs__", lambda self: self.abs(), "|x|, element by element.")


def _as_method(op):
    """np.sum(x) calls x.sum(axis=None, dtype=None, out=None)."""

    @functools.wraps(op)
    def method(self, *settings, dtype=None, out=None, **named):
        _nothing_of_numpy(dtype=dtype, out=out)
        return op(self, *settings, **named)

    return method


def _nothing_of_numpy(**settings) -> None:
    for name, value in settings.items():
        if value is not None:
            raise TypeError(f"a Tensor's method has no {name}: leave it out")


for _op in (reduction.sum, reduction.mean, reduction.max):
    setattr(Tensor, _op.__name__, _as_method(_op))
for _op in (
    *(arithmetic.exp, arithmetic.log, arithmetic.sqrt, arithmetic.tanh),
    *(neural.relu, neural.sigmoid, neural.gelu, neural.softmax, neural.log_softmax),
):
    setattr(Tensor, _op.__name__, _op)


class _Later:
    """A method whose op's file is opened when the method is first looked up."""

    def __init__(self, name: str):
        self.name = name

    def __get__(self, tensor, owner):
        setattr(Tensor, self.name, _as_method(getattr(ops, self.name)))
        return getattr(owner if tensor is None else tensor, self.name)


for _name in (
    *("abs", "broadcast_to", "clip", "cos", "cumsum", "log1p", "logsumexp", "maximum"),
    *("min", "minimum", "pad", "silu", "sin", "softplus", "split", "squeeze", "std"),
    *("take_along_axis", "tril", "var"),
):
    setattr(Tensor, _name, _Later(_name))


def _flat(arguments: tuple) -> tuple:
    """Lets `x.reshape(2, 3)` and `x.reshape((2, 3))` mean the same."""
    if len(arguments) == 1 and isinstance(arguments[0], (tuple, list)):
        return tuple(arguments[0])
    return arguments


def _reshape(self, *shape: int):
    """The same numbers in another shape; one length may be -1."""
    return ops.reshape(self, shape=_flat(shape))


def _transpose(self, *axes: int):
    """The axes in another order; without any, in reverse order."""
    return ops.transpose(self, axes=_flat(axes) or None)


_hang("reshape", _reshape)
_hang("transpose", _transpose)
Tensor.T = property(shape.transpose, doc="The axes in reverse order.")


def _comparison(name: str):
    """Element by element, as NumPy: a plain boolean array, since it has no gradient.

    What holds no numbers is left to Python: `x == None` is False.
    """
    compare = getattr(operator, name)

    def method(self, other):
        other = other.data if isinstance(other, Tensor) else plain_number(other)
        if isinstance(other, (list, tuple)):
            other = backend.of(self.data).asarray(np.asarray(other, self.dtype))
        elif not isinstance(other, (int, float)) and backend.of(other) is None:
            return NotImplemented
        return _as_array(self, compare(self.data, other))

    return method


for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    _doc = f"{getattr(operator, _name).__doc__} Element by element, a boolean array."
    _hang(f"__{_name}__", _comparison(_name), _doc)
# Two tensors of equal numbers are two tensors: as keys they are told apart by identity,
# with Python's own hash, which setting __eq__ here has left in place.


def _contains(self, value) -> bool:
    """`2.0 in x`: whether an element equals it."""
    return bool(backend.to_numpy(self == value).any())


def _iterate(self):
    """Along the first axis."""
    if not self.shape:
        raise TypeError("iteration over a 0-d tensor")
    return (self[i] for i in range(len(self)))


def _argmax(self, axis=None, keepdims: bool = False, out=None):
    """Where the largest element is along an axis, or in the flattened tensor: a plain
    array of whole numbers. Of several the first."""
    _nothing_of_numpy(out=out)
    return _as_array(self, self.data.argmax(axis, keepdims=keepdims))


_hang("__contains__", _contains)
_hang("__iter__", _iterate)
_hang("argmax", _argmax)


def _as_array(tensor, answer):
    """NumPy gives a number in place of an array without axes."""
    return backend.of(tensor.data).xp.asarray(answer)
