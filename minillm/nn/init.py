"""Draws initial weights, on the host, from one random stream."""

import math

import numpy as np

from minillm.tensor import Tensor


class Initializer:
    """The rule by which every layer draws its weights, and the stream it draws from.

    "gpt2": everything N(0, 0.02²) (Radford et al. 2019). "fan_in": matrices
    N(0, 1/fan in), embeddings N(0, embedding_sd²): small models learn best from 0.1.
    Under both, a matrix whose result is added to the residual stream is divided by
    √(2·n_layers), so that the stream's variance does not grow with depth.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        rule: str = "fan_in",
        *,
        n_layers: int = 1,
        embedding_sd: float = 0.1,
        dtype=np.float32,
    ):
        self.rng = rng
        self.rule = rule
        self.n_layers = n_layers
        self.embedding_sd = embedding_sd
        self.dtype = dtype

    def matrix(
        self, fan_in: int, fan_out: int, *, into_residual: bool = False
    ) -> Tensor:
        """(fan_in, fan_out), for x @ W."""
        sd = self._sd(1 / math.sqrt(fan_in))
        if into_residual:
            sd /= math.sqrt(2 * self.n_layers)
        return self._normal((fan_in, fan_out), sd)

    def table(self, n: int, width: int) -> Tensor:
        """(n, width), one embedding a row."""
        return self._normal((n, width), self._sd(self.embedding_sd))

    def output_table(self, vocab_size: int, width: int) -> Tensor:
        """(vocab_size, width), one output vector a row, for x @ Wᵀ."""
        return self._normal((vocab_size, width), self._sd(1 / math.sqrt(width)))

    def _sd(self, fan_in_sd: float) -> float:
        return 0.02 if self.rule == "gpt2" else fan_in_sd

    def zeros(self, n: int) -> Tensor:
        return Tensor(np.zeros(n, self.dtype), requires_grad=True)

    def ones(self, n: int) -> Tensor:
        return Tensor(np.ones(n, self.dtype), requires_grad=True)

    def _normal(self, shape: tuple, sd: float) -> Tensor:
        # Drawn in float64 whatever the type, so that float32 and float64 models of one
        # seed have the same weights.
        drawn = self.rng.standard_normal(shape) * sd
        return Tensor(drawn.astype(self.dtype), requires_grad=True)
