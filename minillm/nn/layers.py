"""The layers without attention: linear map, embedding, layer norm, feed-forward,
dropout."""

from minillm.nn.init import Init, initializer
from minillm.nn.module import Module
from minillm.ops import dropout, embedding, gelu, layer_norm, linear
from minillm.tensor import Tensor


class Linear(Module):
    """x W + b. `into_residual`: the result is added to the residual stream, so the
    weights are drawn smaller (see `Initializer`)."""

    def __init__(
        self,
        d_in: int,
        d_out: int,
        *,
        init: Init = None,
        bias: bool = True,
        into_residual: bool = False,
    ):
        init = initializer(init)
        self.weight = init.matrix(d_in, d_out, into_residual=into_residual)
        self.bias = init.zeros(d_out) if bias else None

    def __call__(self, x: Tensor) -> Tensor:  # (..., d_in) -> (..., d_out)
        return linear(x, self.weight, self.bias)


class Embedding(Module):
    """A learned vector for each of n whole numbers."""

    def __init__(self, n: int, width: int, *, init: Init = None):
        self.weight = initializer(init).table(n, width)

    def __call__(self, ids) -> Tensor:  # (...) -> (..., width)
        return embedding(self.weight, ids=ids)


class LayerNorm(Module):
    """Each vector brought to mean 0 and variance 1, then scaled and shifted."""

    def __init__(self, width: int, *, init: Init = None, bias: bool = True):
        init = initializer(init)
        self.gain = init.ones(width)
        self.bias = init.zeros(width) if bias else None

    def __call__(self, x: Tensor) -> Tensor:  # (..., D) -> (..., D)
        return layer_norm(x, self.gain, self.bias)


class FeedForward(Module):
    """GELU(x W₁) W₂: each position by itself, through a wider layer."""

    def __init__(self, width: int, d_ff: int, *, init: Init = None, bias: bool = True):
        init = initializer(init)
        self.up = Linear(width, d_ff, init=init, bias=bias)
        self.down = Linear(d_ff, width, init=init, bias=bias, into_residual=True)

    def __call__(self, x: Tensor) -> Tensor:  # (..., D) -> (..., d_ff) -> (..., D)
        return self.down(gelu(self.up(x)))


class Noise:
    """Gives each dropout of a forward pass its key: the n-th one of a step always drops
    the same places of the whole batch, whichever worker or backend computes them.

    `rate` is that of activations, `attention_rate` that of attention weights.
    `first_row` is where this shard begins in the whole batch.
    """

    def __init__(
        self,
        rate: float,
        seed: int,
        step: int,
        first_row: int = 0,
        attention_rate: float = 0.0,
    ):
        self.rate = rate
        self.attention_rate = attention_rate
        self.first_row = first_row
        # Up to 4096 dropouts a step. Keys count modulo 2³²: after 2²⁰ steps they recur.
        self._key = (seed * 1_000_003 + step) * 4096

    def next_key(self) -> int:
        self._key += 1
        return self._key

    def of_weights(self) -> dict:
        """The settings of an attention op that drops weights; else none."""
        if not self.attention_rate:
            return {}
        key = self.next_key()
        return {"rate": self.attention_rate, "key": key, "first_row": self.first_row}


def drop(x: Tensor, noise: Noise | None) -> Tensor:
    """Dropout where there is noise, x itself where there is none."""
    if noise is None or noise.rate == 0:
        return x
    key = noise.next_key()
    return dropout(x, rate=noise.rate, key=key, first_row=noise.first_row)
