"""All parameters of a model in one flat buffer.

Optimizer, clipping, checkpoints and the sum over workers are then a few lines on one
array. Each parameter's `data` is a view of the buffer.
"""

import math
import mmap

import numpy as np

from minillm import backend
from minillm.errors import UsageError
from minillm.nn import Module
from minillm.tensor import Tensor


class FlatParameters:
    """Moves a model's parameters into one buffer and remembers where each one lies.

    Those that weight decay acts on (two and more axes) come first, so that decay is one
    slice: `data[:n_decayed]`. Each begins at a multiple of the backend's alignment.
    With `shared` the buffers are seen by forked processes as well. Raises UsageError
    for a module without parameters, with two of one name, or of two types.
    """

    def __init__(self, module: Module, *, shared: bool = False):
        named = list(module.named_parameters())
        _check(named)
        where = backend.of(named[0][1].data)
        self.dtype = named[0][1].dtype
        self._shared = shared
        alignment = where.alignment // self.dtype.itemsize  # in numbers
        self.places = {}  # name -> (where it begins, shape)
        self.size = 0
        for decays in (True, False):
            for name, p in named:
                if (p.ndim >= 2) == decays:
                    self.places[name] = (self.size, p.shape)
                    self.size += math.ceil(p.size / alignment) * alignment
            if decays:
                self.n_decayed = self.size
        self.data = self.zeros()
        values = self.views(self.data)
        for name, p in named:
            values[name][...] = p.data
            p.data = values[name]

    def zeros(self):
        """A buffer of the same layout, for gradients or an optimizer's moments."""
        if self._shared:
            block = mmap.mmap(-1, max(1, self.size * self.dtype.itemsize))
            return np.frombuffer(block, self.dtype, self.size)
        return backend.xp.zeros(self.size, dtype=self.dtype)

    def views(self, buffer) -> dict:
        """{name: the part of a buffer that belongs to it, in its shape}."""
        return {
            name: buffer[begin : begin + math.prod(shape)].reshape(shape)
            for name, (begin, shape) in self.places.items()
        }

    def collect_gradients(self, module: Module, buffer) -> None:
        """From now on, backward adds the module's gradients into this buffer.

        Raises UsageError for a parameter that has no place in it.
        """
        views = self.views(buffer)
        for name, p in module.named_parameters():
            if name not in views:
                raise UsageError(
                    f"the parameter {name} is new since the flat buffer was made: "
                    f"make another one, or set its requires_grad to False"
                )
            p.grad = views[name]


def _check(named: list[tuple[str, Tensor]]) -> None:
    if not named:
        raise UsageError("the module has no parameter: no leaf requires a gradient")
    types = sorted({str(p.dtype) for _, p in named})
    if len(types) > 1:
        raise UsageError(f"parameters must be of one type, got {' and '.join(types)}")
