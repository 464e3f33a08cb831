"""Operators and methods of Tensor: `x + y` is `add(x, y)`, and so on.

What has no gradient, as `x > 0`, is in `backend/array_like.py`.
"""

import functools

from minillm import ops
from minillm.backend.array_like import nothing_of_numpy
from minillm.backend.arrays import plain_number
from minillm.ops import arithmetic, shape
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
        return ops.power(self, exponent=exponent)
    return ops.pow(self, exponent)


def _power_of(self, base):
    """x ** y for a number or an array x; self is y."""
    return ops.pow(base, self)


_hang("__pow__", _power)
_hang("__rpow__", _power_of)
_hang("__getitem__", lambda self, index: shape.getitem(self, index=index), "x[index]")
Tensor.__neg__ = arithmetic.neg
_hang("__abs__", lambda self: self.abs(), "|x|, element by element.")


class _Later:
    """A method whose op is looked up, and its file opened, when it is first used."""

    def __init__(self, name: str):
        self.name = name

    def __get__(self, tensor, owner):
        setattr(Tensor, self.name, _as_method(getattr(ops, self.name)))
        return getattr(owner if tensor is None else tensor, self.name)


def _as_method(op):
    """np.sum(x) calls x.sum(axis=None, dtype=None, out=None)."""

    @functools.wraps(op)
    def method(self, *settings, dtype=None, out=None, **named):
        nothing_of_numpy(dtype=dtype, out=out)
        return op(self, *settings, **named)

    return method


for _name in (
    *("abs", "broadcast_to", "clip", "cos", "cumsum", "exp", "gelu", "log", "log1p"),
    *("log_softmax", "logsumexp", "max", "maximum", "mean", "min", "minimum", "pad"),
    *("relu", "sigmoid", "silu", "sin", "softmax", "softplus", "split", "sqrt"),
    *("squeeze", "std", "sum", "take_along_axis", "tanh", "tril", "var"),
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
