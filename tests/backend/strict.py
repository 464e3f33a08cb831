"""A strict stand-in for CuPy, so that a machine without a GPU finds what fails on one.

Its arrays lie in NumPy's memory, but behave as if they lay in a GPU's: nothing turns
into a host array or a Python number unless it is asked to (`asnumpy`, `.item()`), host
arrays are never mixed in, reductions return 0-d arrays, ids out of range wrap around
silently, a boolean mask as an index (which would have to be counted) is refused, and
only those functions are there that CuPy has too. It is stricter than CuPy where CuPy
would wait for the GPU without saying so, as in `float(x)`.
"""

import operator
import types

import numpy as np

from minillm.backend import Backend

# The shapes of what was read from the device: a wait each, on a GPU.
READS = []


class StrictArray:
    """An array "on the device"."""

    # NumPy's arrays then leave `array + strict` to us, and we refuse.
    __array_ufunc__ = None

    def __init__(self, memory: np.ndarray):
        self.memory = memory

    def _refuse(self, *_, **__):
        raise TypeError(
            "implicit conversion to a host array or number: on a GPU this fails, or "
            "waits for all that was asked of it; use to_numpy() or .item()"
        )

    __array__ = __float__ = __int__ = __index__ = __bool__ = __complex__ = _refuse

    shape = property(lambda self: self.memory.shape)
    dtype = property(lambda self: self.memory.dtype)
    ndim = property(lambda self: self.memory.ndim)
    size = property(lambda self: self.memory.size)
    nbytes = property(lambda self: self.memory.nbytes)
    itemsize = property(lambda self: self.memory.itemsize)
    strides = property(lambda self: self.memory.strides)
    flags = property(lambda self: self.memory.flags)
    T = property(lambda self: StrictArray(self.memory.T))

    def item(self):
        READS.append(self.shape)
        return self.memory.item()

    def copy(self):
        return StrictArray(self.memory.copy())

    def astype(self, dtype, copy=True):
        return StrictArray(self.memory.astype(dtype, copy=copy))

    def reshape(self, *shape):
        return StrictArray(self.memory.reshape(*shape))

    def ravel(self):
        return StrictArray(self.memory.ravel())

    def transpose(self, *axes):
        return StrictArray(self.memory.transpose(*axes))

    def swapaxes(self, a, b):
        return StrictArray(self.memory.swapaxes(a, b))

    # With CuPy's arguments: NumPy's `where` and `initial` are missing.
    def sum(self, axis=None, dtype=None, out=None, keepdims=False):
        return wrap(self.memory.sum(axis, dtype, raw(out), keepdims))

    def mean(self, axis=None, dtype=None, out=None, keepdims=False):
        return wrap(self.memory.mean(axis, dtype, raw(out), keepdims))

    def max(self, axis=None, out=None, keepdims=False):
        return wrap(self.memory.max(axis, raw(out), keepdims))

    def min(self, axis=None, out=None, keepdims=False):
        return wrap(self.memory.min(axis, raw(out), keepdims))

    def argmax(self, axis=None, dtype=None, out=None, keepdims=False):
        return wrap(self.memory.argmax(axis, keepdims=keepdims))

    def __len__(self):
        return len(self.memory)

    def __iter__(self):
        return map(wrap, self.memory)

    def __deepcopy__(self, _):
        return self.copy()

    def __repr__(self):
        return f"StrictArray(shape={self.shape}, dtype={self.dtype})"

    def __getitem__(self, index):
        return wrap(self.memory[wrapped(index, self.shape)])

    def __setitem__(self, index, value):
        self.memory[wrapped(index, self.shape)] = raw(value)


def _operator(function):
    def forward(self, other):
        if not isinstance(other, (StrictArray, np.ndarray, np.generic, int, float)):
            return NotImplemented  # a Tensor knows what to do
        return wrap(function(self.memory, raw(other)))

    def backward(self, other):
        return wrap(function(raw(other), self.memory))

    return forward, backward


def _in_place(function):
    def change(self, other):
        function(self.memory, raw(other))
        return self

    return change


OPERATORS = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"]
OPERATORS += ["and", "or", "xor", "lshift", "rshift"]
for _name in OPERATORS:
    _function = getattr(operator, f"__{_name}__")
    _forward, _backward = _operator(_function)
    setattr(StrictArray, f"__{_name}__", _forward)
    setattr(StrictArray, f"__r{_name}__", _backward)
    setattr(StrictArray, f"__i{_name}__", _in_place(getattr(operator, f"__i{_name}__")))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(StrictArray, f"__{_name}__", _operator(getattr(operator, _name))[0])
StrictArray.__neg__ = lambda self: wrap(-self.memory)
StrictArray.__invert__ = lambda self: wrap(~self.memory)
StrictArray.__abs__ = lambda self: wrap(abs(self.memory))


def wrap(result):
    """Whatever NumPy returns, on the device. A single number becomes a 0-d array."""
    if isinstance(result, (np.ndarray, np.generic)):
        return StrictArray(np.asarray(result))
    if isinstance(result, (list, tuple)):
        return type(result)(wrap(part) for part in result)
    return result


def raw(value):
    """The memory of what is on the device. Refuses what is not."""
    if isinstance(value, StrictArray):
        return value.memory
    if isinstance(value, np.ndarray):
        raise TypeError(
            f"a host array of shape {value.shape} among arrays on the device"
        )
    if isinstance(value, (list, tuple)):
        return type(value)(raw(part) for part in value)
    return value


def wrapped(index, shape):
    """An index as NumPy takes it, its arrays of whole numbers wrapped around."""
    parts = index if isinstance(index, tuple) else (index,)
    n_axes = sum(part is not None and part is not Ellipsis for part in parts)
    result, axis = [], 0
    for part in parts:
        if part is Ellipsis:
            axis += len(shape) - n_axes
        elif part is not None:
            part = _wrapped_part(part, shape[axis])
            axis += 1
        result.append(part)
    return tuple(result)


def _wrapped_part(part, length: int):
    if isinstance(part, StrictArray):
        if part.dtype == bool:
            raise TypeError(
                "a boolean mask as an index: its size is known on the GPU only"
            )
        return part.memory % max(length, 1)
    if isinstance(part, (np.ndarray, list)):
        raise TypeError("a host array or list as an index into an array on the device")
    return part


def _function(name):
    """NumPy's function of this name, for arrays on the device."""

    def call(*args, out=None, **kwargs):
        unexpected = {"where", "initial", "casting", "order"} & set(kwargs)
        if unexpected:
            raise TypeError(f"{name}: no argument {unexpected.pop()!r} on the device")
        kwargs = {key: raw(value) for key, value in kwargs.items()}
        if out is None:
            return wrap(getattr(np, name)(*raw(args), **kwargs))
        getattr(np, name)(*raw(args), out=raw(out), **kwargs)
        return out

    return call


class _Add:
    """`add` and its scatter `add.at`, which adds up where an index comes twice."""

    def __call__(self, *args, **kwargs):
        return _function("add")(*args, **kwargs)

    def at(self, array, index, values):
        np.add.at(array.memory, wrapped(index, array.shape), raw(values))


class _Generator:
    """What CuPy's random generator can do. There is no normal, choice, permutation or
    shuffle."""

    def __init__(self, seed=None):
        self._rng = np.random.default_rng(seed)

    def random(self, size=None, dtype=np.float64):
        return wrap(self._rng.random(size, dtype))

    def standard_normal(self, size=None, dtype=np.float64):
        return wrap(self._rng.standard_normal(size, dtype))

    def integers(self, low, high=None, size=None, dtype=np.int64, endpoint=False):
        return wrap(self._rng.integers(low, high, size, dtype, endpoint))


class StrictModule(types.ModuleType):
    """What stands for `xp`."""

    FUNCTIONS = """abs arange broadcast_to ceil clip concatenate copysign cos cumsum
        einsum exp expand_dims empty empty_like eye flip floor full full_like isfinite
        isnan log log1p logaddexp matmul maximum minimum multiply ones ones_like repeat
        reshape result_type sign sin split sqrt stack subtract take_along_axis tanh tril
        triu where zeros zeros_like"""
    VALUES = (
        "bool_ float16 float32 float64 inf int8 int32 int64 newaxis pi uint8 uint32"
    )

    def __init__(self):
        super().__init__("strict")
        for name in self.FUNCTIONS.split():
            setattr(self, name, _function(name))
        for name in self.VALUES.split():
            setattr(self, name, getattr(np, name))
        self.add = _Add()
        self.ndarray = StrictArray
        self.random = types.SimpleNamespace(default_rng=_Generator)

    def __getattr__(self, name):
        raise AttributeError(
            f"the stand-in has no {name!r}: see whether CuPy has it, then add it"
        )

    @staticmethod
    def array(data, dtype=None, copy=True, order="K"):
        memory = data.memory if isinstance(data, StrictArray) else data
        return StrictArray(
            np.array(memory, dtype, copy=True if copy else None, order=order)
        )

    @staticmethod
    def asarray(data, dtype=None):
        if isinstance(data, StrictArray):
            return StrictArray(np.asarray(data.memory, dtype))
        return StrictArray(np.array(data, dtype))  # moved: never the host's own memory

    @staticmethod
    def asnumpy(array):
        READS.append(array.shape)
        return array.memory.copy()


class StrictBackend(Backend):
    name = "strict"
    kind = "cuda"  # so that no body for the CPU runs
    alignment = 256
    numbers_at_a_time = 2**60
    array_type = StrictArray
    xp = StrictModule()

    def asarray(self, host):
        return self.xp.asarray(host)

    def to_numpy(self, array):
        if isinstance(array, StrictArray):
            return self.xp.asnumpy(array)
        return np.asarray(array)

    def add_at(self, array, index, values):
        """As CUDA's, which sorts the index on the host, and reads it for that where it
        lies on the device."""
        parts = index if isinstance(index, tuple) else (index,)
        READS.extend(p.shape for p in parts if isinstance(p, StrictArray))
        moved = (self.asarray(p) if isinstance(p, np.ndarray) else p for p in parts)
        self.xp.add.at(array, tuple(moved), values)

    def total_memory(self) -> int:
        return 2**30

    def memory(self) -> dict:
        return {"peak": 1, "total": self.total_memory()}
