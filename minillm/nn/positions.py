"""Positions: learned or sinusoidal vectors that are added, or rotations."""

import functools
import math

import numpy as np

from minillm import backend, nn  # nn.Columns: a file for decoding alone
from minillm.nn.config import ModelConfig
from minillm.nn.init import Initializer
from minillm.ops import embedding
from minillm.tensor import Tensor


def position_table(config: ModelConfig, init: Initializer) -> Tensor | None:
    """A vector for each position: learned, or sines and cosines.   (context, D)

    None for rotary positions: attention turns its queries and keys.
    """
    if config.positions == "rotary":
        return None
    if config.positions == "learned":
        return init.table(config.context, config.d_model)
    return init.fixed(sinusoids, config.context, config.d_model)


def add_positions(
    x: Tensor, table: Tensor | None, columns: "nn.Columns | None" = None
) -> Tensor:
    """x plus the vectors of its positions: the first ones, or those of the next columns
    of a cache; x itself where there are none.   (B, T, D)"""
    if table is None:
        return x
    if columns is None:
        return x + table[: x.shape[1]]
    return x + embedding(table, ids=columns.positions)


def rotations(
    length: int,
    width: int,
    begin: int = 0,
    padding: np.ndarray | None = None,
    *,
    base: float = 10_000.0,
) -> dict:
    """`cos` and `sin` of the angles by which the op `rotary` turns the next positions:
    pair i of a head of this width by position · base^(−2i/width) (Su et al. 2021,
    section 3.2.2).   (T, 1, width/2), or (B, T, 1, width/2) with padding

    Computed on the host, in float64: the same numbers on every device, which keeps
    those of the last call, since every layer of a step asks for them.
    """
    if padding is None:
        return _kept_rotations(length, width, begin, base, backend.current())
    return _rotations(length, width, begin, padding, base)


@functools.lru_cache(maxsize=8)
def _kept_rotations(length, width, begin, base, _device) -> dict:
    return _rotations(length, width, begin, None, base)


def _rotations(length, width, begin, padding, base) -> dict:
    frequency = base ** (-np.arange(0, width, 2) / width)
    angle = positions_of(begin, length, padding)[..., None, None] * frequency
    asarray = backend.current().asarray
    return {"cos": asarray(np.cos(angle)), "sin": asarray(np.sin(angle))}


def positions_of(begin: int, length: int, padding: np.ndarray | None) -> np.ndarray:
    """Those of the columns from `begin` on, on the host.   (T,), or (B, T) with padding

    `padding` (B,) counts the columns before each sequence's first token.
    """
    columns = np.arange(begin, begin + length)
    return columns if padding is None else np.maximum(columns - padding[:, None], 0)


def sinusoids(context: int, width: int) -> np.ndarray:
    """Fixed positions: sines and cosines of wavelengths 2π to 10000·2π (Vaswani et al.
    2017, section 3.5).   -> (context, width)"""
    frequency = np.exp(-math.log(10_000) * np.arange(0, width, 2) / width)
    angle = np.arange(context)[:, None] * frequency[None, :]
    table = np.empty((context, width))
    table[:, 0::2] = np.sin(angle)
    table[:, 1::2] = np.cos(angle)[:, : width // 2]
    return table
