"""ArrayLike: what a Tensor has in common with a NumPy array, and no gradient is of.

Shape, numbers on the host, comparisons. None of it is recorded.
"""

import operator
from typing import Any

import numpy as np

from minillm.backend import switch
from minillm.backend.arrays import plain_number


def _needs_ops(*_arrays, **_settings) -> Any:
    raise TypeError("a Tensor has operators once minillm.ops is imported")


class ArrayLike:
    """An object with an array, `data`, that can be read and compared as one."""

    data: np.ndarray  # or CuPy's
    __array_ufunc__ = None  # NumPy then leaves `array + tensor` to Tensor.__radd__

    # For type checkers: `ops/methods.py` has them.
    __add__ = __sub__ = __mul__ = __truediv__ = __matmul__ = __pow__ = _needs_ops
    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rmatmul__ = __rpow__ = _needs_ops
    __neg__ = __getitem__ = __abs__ = abs = exp = log = log1p = sqrt = _needs_ops
    tanh = sin = cos = maximum = minimum = clip = relu = gelu = silu = _needs_ops
    sigmoid = softplus = sum = mean = var = std = max = min = cumsum = _needs_ops
    logsumexp = softmax = log_softmax = reshape = transpose = squeeze = _needs_ops
    split = pad = broadcast_to = take_along_axis = tril = _needs_ops

    @property
    def shape(self) -> tuple:
        return self.data.shape

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    @property
    def dtype(self):
        return self.data.dtype

    def item(self) -> float:
        """The single number in this tensor, on the host, as float() and int() too."""
        if self.size != 1:
            raise ValueError(
                f"a tensor of shape {self.shape} is no single number: take one, as "
                f"x[0], or reduce it, as x.mean()"
            )
        return self.data.item()

    def numpy(self) -> np.ndarray:
        """The values on the host, without their history."""
        return switch.to_numpy(self.data)

    def argmax(self, axis=None, keepdims: bool = False, out=None):
        """Where the largest element is along an axis, or in the flattened tensor: a
        plain array of whole numbers. Of several the first."""
        nothing_of_numpy(out=out)
        return self._as_array(self.data.argmax(axis, keepdims=keepdims))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self):
        """Along the first axis."""
        if not self.shape:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(len(self)))

    def __contains__(self, value) -> bool:
        """`2.0 in x`: whether an element equals it."""
        return bool(switch.to_numpy(self == value).any())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(
                f"the truth value of a tensor of shape {self.shape} is not clear: use "
                f"(x > 0).any() or (x > 0).all()"
            )
        return bool(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __array__(self, *_args, **_kwargs):
        raise TypeError(
            "a Tensor does not turn into an array by itself, which would silently "
            "drop its history: use tensor.numpy() or tensor.data"
        )

    def __setitem__(self, _index, _value):
        raise TypeError(
            "a Tensor cannot be written to, since its gradient would be wrong: "
            "build a new one with where() or concatenate(), or change tensor.data"
        )

    def _as_array(self, answer):
        """NumPy gives a number in place of an array without axes."""
        return switch.of(self.data).xp.asarray(answer)


def nothing_of_numpy(**settings) -> None:
    """TypeError for what np.sum(x), which calls x.sum, might ask of a method."""
    for name, value in settings.items():
        if value is not None:
            raise TypeError(f"a Tensor's method has no {name}: leave it out")


def _comparison(name: str):
    """Element by element, as NumPy: a plain boolean array, since it has no gradient.

    What holds no numbers is left to Python: `x == None` is False.
    """
    compare = getattr(operator, name)

    def method(self, other):
        other = other.data if isinstance(other, ArrayLike) else plain_number(other)
        if isinstance(other, (list, tuple)):
            other = switch.of(self.data).asarray(np.asarray(other, self.dtype))
        elif not isinstance(other, (int, float)) and switch.of(other) is None:
            return NotImplemented
        return self._as_array(compare(self.data, other))

    method.__name__, method.__qualname__ = f"__{name}__", f"Tensor.__{name}__"
    method.__doc__ = f"{compare.__doc__} Element by element, a boolean array."
    return method


# Set from outside the class, which so keeps Python's own hash: two tensors of equal
# numbers are two tensors, and as keys they are told apart by identity.
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(ArrayLike, f"__{_name}__", _comparison(_name))
