"""The layers without attention: linear map, embedding, layer norm, feed-forward."""

from minillm.nn.init import Initializer
from minillm.nn.module import Module
from minillm.ops import embedding, gelu, layer_norm, linear
from minillm.tensor import Tensor


class Linear(Module):
    """x W + b. `into_residual`: the result is added to the residual stream, so the
    weights are drawn smaller (see `Initializer`)."""

    def __init__(
        self,
        d_in: int,
        d_out: int,
        *,
        init: Initializer,
        bias: bool = True,
        into_residual: bool = False,
    ):
        self.weight = init.matrix(d_in, d_out, into_residual=into_residual)
        self.bias = init.zeros(d_out) if bias else None

    def __call__(self, x: Tensor) -> Tensor:  # (..., d_in) -> (..., d_out)
        return linear(x, self.weight, self.bias)


class Embedding(Module):
    """A learned vector for each of n whole numbers."""

    def __init__(self, n: int, width: int, *, init: Initializer):
        self.weight = init.table(n, width)

    def __call__(self, ids) -> Tensor:  # (...) -> (..., width)
        return embedding(self.weight, ids=ids)


class LayerNorm(Module):
    """Each vector brought to mean 0 and variance 1, then scaled and shifted."""

    def __init__(self, width: int, *, init: Initializer, bias: bool = True):
        self.gain = init.ones(width)
        self.bias = init.zeros(width) if bias else None

    def __call__(self, x: Tensor) -> Tensor:  # (..., D) -> (..., D)
        return layer_norm(x, self.gain, self.bias)


class FeedForward(Module):
    """GELU(x W₁) W₂: each position by itself, through a wider layer."""

    def __init__(self, width: int, d_ff: int, *, init: Initializer, bias: bool = True):
        self.up = Linear(width, d_ff, init=init, bias=bias)
        self.down = Linear(d_ff, width, init=init, bias=bias, into_residual=True)

    def __call__(self, x: Tensor) -> Tensor:  # (..., D) -> (..., d_ff) -> (..., D)
        return self.down(gelu(self.up(x)))
