"""The layers without attention: linear map, embedding, layer norm, feed-forward,
dropout."""

from minillm import nn, ops  # opened when used: nn.RMSNorm, ops.dropout
from minillm.nn.config import CHOICES, ModelConfig, check_choice
from minillm.nn.init import Init, Initializer, initializer
from minillm.nn.module import Module
from minillm.ops import embedding, gelu, layer_norm, linear, relu
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

    def __init__(
        self, width: int, *, init: Init = None, bias: bool = True, eps: float = 1e-5
    ):
        init = initializer(init)
        self.gain = init.ones(width)
        self.bias = init.zeros(width) if bias else None
        self.eps = eps

    def __call__(self, x: Tensor) -> Tensor:  # (..., D) -> (..., D)
        return layer_norm(x, self.gain, self.bias, eps=self.eps)


def new_norm(config: ModelConfig, init: Initializer) -> "LayerNorm | nn.RMSNorm":
    """The norm of a model of this shape."""
    width, eps = config.d_model, config.norm_eps
    if config.norm_kind == "rms":
        return nn.RMSNorm(width, init=init, eps=eps)
    return LayerNorm(width, init=init, bias=config.bias, eps=eps)


def gelu_form(activation: str) -> str:
    """Which of the two forms of GELU a model has."""
    return "erf" if activation == "gelu_erf" else "tanh"


class FeedForward(Module):
    """f(x W₁) W₂: each position by itself, through a wider layer.

    f is GELU, by tanh or by erf, or relu² (So et al. 2021). Under "swiglu" it is a
    product with a gate, silu(x W₃) · x W₁ (Shazeer 2020, eq. 6).
    """

    def __init__(
        self,
        width: int,
        d_ff: int,
        *,
        activation: str = "gelu",
        init: Init = None,
        bias: bool = True,
    ):
        check_choice("activation", activation, CHOICES["activation"])
        self.activation = activation
        init = initializer(init)
        self.up = Linear(width, d_ff, init=init, bias=bias)
        self.gate = None
        if activation == "swiglu":
            self.gate = Linear(width, d_ff, init=init, bias=bias)
        self.down = Linear(d_ff, width, init=init, bias=bias, into_residual=True)

    @classmethod
    def from_config(cls, config: ModelConfig, init: Initializer) -> "FeedForward":
        """That of a model of this shape."""
        return cls(
            config.d_model,
            config.feed_forward_width,
            activation=config.activation,
            init=init,
            bias=config.bias,
        )

    def __call__(self, x: Tensor) -> Tensor:  # (..., D) -> (..., d_ff) -> (..., D)
        wide = self.up(x)
        if self.activation == "swiglu":
            return self.down(ops.swiglu(self.gate(x), wide))
        if self.activation == "relu2":
            positive = relu(wide)
            return self.down(positive * positive)
        return self.down(gelu(wide, form=gelu_form(self.activation)))


def drop(x: Tensor, noise: "nn.Noise | None") -> Tensor:
    """Dropout where there is noise, x itself where there is none."""
    if noise is None or noise.rate == 0:
        return x
    key = noise.next_key()
    return ops.dropout(x, rate=noise.rate, key=key, first_row=noise.first_row)
