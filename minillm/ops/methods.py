"""Operators and methods of Tensor: `x + y` is `add(x, y)`, and so on.

Those without a gradient come last: comparisons, `in`, `argmax`.
"""

import functools
import operator

import numpy as np

from minillm import backend
from minillm.backend.arrays import plain_number
from minillm.ops import arithmetic, reduction, shape
from minillm.tensor import Tensor


def _binary(op):
    return lambda self, other: op(self, other), lambda self, other: op(other, self)


Tensor.__add__, Tensor.__radd__ = _binary(arithmetic.add)
Tensor.__sub__, Tensor.__rsub__ = _binary(arithmetic.sub)
Tensor.__mul__, Tensor.__rmul__ = _binary(arithmetic.mul)
Tensor.__truediv__, Tensor.__rtruediv__ = _binary(arithmetic.div)
Tensor.__matmul__, Tensor.__rmatmul__ = _binary(arithmetic.matmul)
Tensor.__neg__ = arithmetic.neg
Tensor.__pow__ = lambda self, exponent: arithmetic.power(self, exponent=exponent)
Tensor.__getitem__ = lambda self, index: shape.getitem(self, index=index)

Tensor.exp = arithmetic.exp
Tensor.log = arithmetic.log
Tensor.sqrt = arithmetic.sqrt
Tensor.tanh = arithmetic.tanh


def _reducer(op):
    @functools.wraps(op)
    def method(self, axis=None, keepdims=False, dtype=None, out=None, **others):
        _nothing_of_numpy(dtype=dtype, out=out)
        return op(self, axis=axis, keepdims=keepdims, **others)  # it refuses the others

    return method


def _nothing_of_numpy(**settings) -> None:
    """np.sum(x) calls x.sum(axis=None, dtype=None, out=None)."""
    for name, value in settings.items():
        if value is not None:
            raise TypeError(f"a Tensor's method has no {name}: leave it out")


Tensor.sum = _reducer(reduction.sum)
Tensor.mean = _reducer(reduction.mean)
Tensor.max = _reducer(reduction.max)


def _flat(arguments: tuple) -> tuple:
    """Lets `x.reshape(2, 3)` and `x.reshape((2, 3))` mean the same."""
    if len(arguments) == 1 and isinstance(arguments[0], (tuple, list)):
        return tuple(arguments[0])
    return arguments


Tensor.reshape = lambda self, *new: shape.reshape(self, shape=_flat(new))
Tensor.transpose = lambda self, *axes: shape.transpose(self, axes=_flat(axes) or None)
Tensor.T = property(lambda self: shape.transpose(self))


def _comparison(compare):
    """Element by element, as NumPy: a plain boolean array, since it has no gradient.

    What holds no numbers is left to Python: `x == None` is False.
    """

    def method(self, other):
        other = other.data if isinstance(other, Tensor) else plain_number(other)
        if isinstance(other, (list, tuple)):
            other = backend.of(self.data).asarray(np.asarray(other, self.dtype))
        elif not isinstance(other, (int, float)) and backend.of(other) is None:
            return NotImplemented
        return _as_array(self, compare(self.data, other))

    return method


for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Tensor, f"__{_name}__", _comparison(getattr(operator, _name)))
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


Tensor.__contains__ = _contains
Tensor.__iter__ = _iterate
Tensor.argmax = _argmax


def _as_array(tensor, answer):
    """NumPy gives a number in place of an array without axes."""
    return backend.of(tensor.data).xp.asarray(answer)
