"""Position embeddings, learned or sinusoidal."""

import math

import numpy as np

from minillm import backend
from minillm.nn.config import ModelConfig
from minillm.nn.init import Initializer
from minillm.tensor import Tensor


def position_table(config: ModelConfig, init: Initializer) -> Tensor:
    """A vector for each position: learned, or sines and cosines.   (context, D)"""
    if config.positions == "learned":
        return init.table(config.context, config.d_model)
    return init.fixed(sinusoids, config.context, config.d_model)


def add_positions(
    x: Tensor, table: Tensor, begin: int = 0, padding: np.ndarray | None = None
) -> Tensor:
    """x plus the vectors of its positions, see `position_vectors`.   (B, T, D)"""
    return x + position_vectors(table, begin, x.shape[1], padding)


def position_vectors(
    table: Tensor, begin: int, length: int, padding: np.ndarray | None = None
) -> Tensor:
    """Those of the next positions.   -> (T, D), or (B, T, D) with padding.

    `padding` (B,) counts the columns before each sequence's first token.
    """
    if padding is None:
        return table[begin : begin + length]
    columns = np.arange(begin, begin + length)
    index = np.maximum(columns - padding[:, None], 0)
    return table[backend.current().asarray(index)]


def sinusoids(context: int, width: int) -> np.ndarray:
    """Fixed positions: sines and cosines of wavelengths 2π to 10000·2π (Vaswani et al.
    2017, section 3.5).   -> (context, width)"""
    frequency = np.exp(-math.log(10_000) * np.arange(0, width, 2) / width)
    angle = np.arange(context)[:, None] * frequency[None, :]
    table = np.empty((context, width))
    table[:, 0::2] = np.sin(angle)
    table[:, 1::2] = np.cos(angle)[:, : width // 2]
    return table
