"""The residual path around a layer, with a norm before the layer or after it."""

from collections.abc import Callable

from minillm.nn.config import ModelConfig
from minillm.nn.init import Initializer
from minillm.nn.layers import LayerNorm, Noise, drop
from minillm.nn.module import Module
from minillm.tensor import Tensor


class Residual(Module):
    """Pre-norm: x + f(norm(x)), as in GPT-2. Post-norm: norm(x + f(x)), as in BERT and
    the original transformer."""

    def __init__(self, config: ModelConfig):
        self.pre_norm = config.norm == "pre"

    def around(
        self,
        f: Callable[[Tensor], Tensor],
        x: Tensor,
        norm: LayerNorm,
        noise: Noise | None = None,
    ) -> Tensor:  # (B, T, D) -> (B, T, D)
        if self.pre_norm:
            return x + drop(f(norm(x)), noise)
        return norm(x + drop(f(x), noise))


def new_norm(config: ModelConfig, init: Initializer) -> LayerNorm:
    """The norm of a model of this shape."""
    return LayerNorm(config.d_model, init=init, bias=config.bias)


def last_norm(config: ModelConfig, init: Initializer) -> LayerNorm | None:
    """The norm that pre-norm blocks need after them; post-norm blocks end in a norm of
    their own."""
    return None if config.norm == "post" else new_norm(config, init)


def normed(x: Tensor, norm: LayerNorm | None) -> Tensor:
    """The output of the blocks, after `last_norm`.   (..., D) -> (..., D)"""
    return x if norm is None else norm(x)
