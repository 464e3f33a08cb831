"""Gives Tensor its operators and methods: `x + y` is `add(x, y)`, and so on."""

from minillm.ops import arithmetic, reduction, shape
from minillm.tensor import Tensor


def _binary(op):
    return lambda self, other: op(self, other), lambda self, other: op(other, self)


Tensor.__add__, Tensor.__radd__ = _binary(arithmetic.add)
Tensor.__sub__, Tensor.__rsub__ = _binary(arithmetic.sub)
Tensor.__mul__, Tensor.__rmul__ = _binary(arithmetic.mul)
Tensor.__truediv__, Tensor.__rtruediv__ = _binary(arithmetic.div)
Tensor.__matmul__, Tensor.__rmatmul__ = _binary(arithmetic.matmul)
Tensor.__neg__ = lambda self: arithmetic.neg(self)
Tensor.__pow__ = lambda self, exponent: arithmetic.power(self, exponent=exponent)
Tensor.__getitem__ = lambda self, index: shape.getitem(self, index=index)

Tensor.exp = lambda self: arithmetic.exp(self)
Tensor.log = lambda self: arithmetic.log(self)
Tensor.sqrt = lambda self: arithmetic.sqrt(self)
Tensor.tanh = lambda self: arithmetic.tanh(self)


def _reducer(op):
    return lambda self, axis=None, keepdims=False: op(
        self, axis=axis, keepdims=keepdims
    )


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
