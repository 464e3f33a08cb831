"""Models without drawn weights: `Shapes`, to be counted, `Blank`, to be filled from a
file."""

from collections.abc import Callable
from functools import partial

import numpy as np

from minillm.nn.init import Initializer
from minillm.tensor import Tensor


class Shapes(Initializer):
    """Makes tensors of the right shape with nothing in them: on these, a model of any
    size can be built to be counted."""

    def made(self, shape: tuple, _draw: Callable, *, trained: bool = True) -> Tensor:
        nothing = np.broadcast_to(np.zeros((), self.dtype), shape)
        return Tensor(nothing, requires_grad=trained)


class Blank(Shapes):
    """For a model whose weights are read from a file: nothing is drawn, and they take
    no memory before they are moved into a flat buffer. What is computed is there."""

    def made(self, shape: tuple, draw: Callable, *, trained: bool = True) -> Tensor:
        make = super().made if trained else partial(Initializer.made, self)
        return make(shape, draw, trained=trained)
