"""Weight initialisation, on the host, from one random stream."""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from minillm import nn  # opened when used: nn.Shapes, nn.by_seed
from minillm.errors import UsageError
from minillm.nn.config import INITS, ModelConfig, check_choice
from minillm.tensor import Tensor

RULES = (*INITS, "kaiming", "xavier")
# What a layer takes as `init`.
Init: TypeAlias = "Initializer | np.random.Generator | int | str | None"


class Initializer:
    """The rule by which every layer draws its weights, and the stream it draws from.

    "gpt2": everything N(0, 0.02²) (Radford et al. 2019). "fan_in": matrices
    N(0, 1/fan in), embeddings N(0, embedding_sd²): small models learn best from 0.1.
    "kaiming": matrices N(0, 2/fan in), for ReLU (He et al. 2015, eq. 10). "xavier":
    matrices N(0, 2/(fan in + fan out)) (Glorot & Bengio 2010, eq. 12). Under all, a
    matrix whose result is added to the residual stream is divided by √(2·n_layers), so
    that the stream's variance does not grow with depth.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        rule: str = "fan_in",
        *,
        n_layers: int = 1,
        embedding_sd: float = 0.1,
        dtype: DTypeLike = np.float32,
    ):
        check_choice("init", rule, RULES)
        self.rng = rng
        self.rule = rule
        self.n_layers = n_layers
        self.embedding_sd = embedding_sd
        self.dtype = dtype

    @classmethod
    def from_config(
        cls,
        config: ModelConfig,
        rng: "np.random.Generator | type[Initializer] | None",
        dtype: DTypeLike,
        embedding_sd: float | None = None,
    ) -> "Initializer":
        """What draws the weights of a model of this shape; `embedding_sd` is the
        configuration's unless it is given. Without an `rng` there are only shapes;
        `Blank` in its place makes weights to be filled."""
        # To train it is a Generator; the two that draw nothing are in `blank.py`.
        rng = nn.Shapes if rng is None else rng
        kind = rng if isinstance(rng, type) else cls
        return kind(
            rng,
            config.init,
            n_layers=config.n_layers,
            embedding_sd=embedding_sd or config.embedding_sd,
            dtype=dtype,
        )

    def matrix(
        self, fan_in: int, fan_out: int, *, into_residual: bool = False
    ) -> Tensor:
        """(fan_in, fan_out), for x @ W. Raises UsageError where one is 0."""
        if fan_in < 1 or fan_out < 1:
            raise UsageError(f"a matrix of shape {(fan_in, fan_out)} holds no weights")
        inverse_variance = {"kaiming": fan_in / 2, "xavier": (fan_in + fan_out) / 2}
        sd = 1 / math.sqrt(inverse_variance.get(self.rule, fan_in))
        sd = self._sd_by_rule(sd)
        if into_residual:
            sd /= math.sqrt(2 * self.n_layers)
        return self._normal((fan_in, fan_out), sd)

    def table(self, n: int, width: int) -> Tensor:
        """(n, width), one embedding a row."""
        return self._normal((n, width), self._sd_by_rule(self.embedding_sd))

    def output_table(self, vocab_size: int, width: int) -> Tensor:
        """(vocab_size, width), one output vector a row, for x @ Wᵀ."""
        return self._normal((vocab_size, width), self._sd_by_rule(1 / math.sqrt(width)))

    def _sd_by_rule(self, sd: float) -> float:
        return 0.02 if self.rule == "gpt2" else sd

    def zeros(self, n: int) -> Tensor:
        return self.made((n,), np.zeros)

    def ones(self, n: int) -> Tensor:
        return self.made((n,), np.ones)

    def fixed(self, formula: Callable, n: int, width: int) -> Tensor:
        """The numbers `formula(n, width)`, which are not trained.   (n, width)"""
        return self.made((n, width), lambda shape: formula(*shape), trained=False)

    def _normal(self, shape: tuple, sd: float) -> Tensor:
        # Drawn in float64 whatever the type, so that float32 and float64 models of one
        # seed have the same weights.
        return self.made(shape, lambda shape: self.rng.standard_normal(shape) * sd)

    def made(self, shape: tuple, draw: Callable, *, trained: bool = True) -> Tensor:
        """What `draw(shape)` gives, as a tensor."""
        return Tensor(draw(shape).astype(self.dtype), requires_grad=trained)


def initializer(init: Init = None) -> Initializer:
    """What a layer draws its weights with: an Initializer as it is; else one for a
    Generator, a seed, a rule's name or None (`seeds.py`)."""
    return init if isinstance(init, Initializer) else nn.by_seed(init)
