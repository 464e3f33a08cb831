"""Parts that several architectures have, made as a configuration asks for them."""

import math

import numpy as np

from minillm import backend
from minillm.models.config import ModelConfig
from minillm.nn import Block, Embedding, Initializer, LayerNorm
from minillm.tensor import Tensor


def initializer(
    config: ModelConfig, rng: np.random.Generator, dtype, embedding_sd=None
) -> Initializer:
    """What draws a model's weights; `embedding_sd` is the configuration's unless it is
    given."""
    return Initializer(
        rng,
        config.init,
        n_layers=config.n_layers,
        embedding_sd=embedding_sd or config.embedding_sd,
        dtype=dtype,
    )


def transformer_blocks(
    config: ModelConfig, init: Initializer, *, causal: bool, kind: type = Block
) -> list:
    return [
        kind(
            config.d_model,
            config.n_heads,
            config.feed_forward_width,
            init=init,
            causal=causal,
            bias=config.bias,
            norm=config.norm,
        )
        for _ in range(config.n_layers)
    ]


def token_head(config: ModelConfig, init: Initializer, tokens: Embedding) -> Tensor:
    """What predicts each token: tied, what it looks like, else its own.   (V, D)"""
    if config.tied:
        return tokens.weight
    return init.output_table(config.vocab_size, config.d_model)


def position_table(config: ModelConfig, init: Initializer) -> Tensor:
    """A vector for each position: learned, or sines and cosines.   (context, D)"""
    if config.positions == "learned":
        return Embedding(config.context, config.d_model, init=init).weight
    return Tensor(sinusoids(config.context, config.d_model).astype(init.dtype))


def position_vectors(table: Tensor, begin: int, length: int, padding=None) -> Tensor:
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


def last_norm(config: ModelConfig, init: Initializer) -> LayerNorm | None:
    """What pre-norm blocks need after them; post-norm blocks end in a norm of their
    own."""
    if config.norm == "post":
        return None
    return LayerNorm(config.d_model, init=init, bias=config.bias)


def normed(x: Tensor, norm: LayerNorm | None) -> Tensor:
    """What comes out of the blocks, after `last_norm`.   (..., D) -> (..., D)"""
    return x if norm is None else norm(x)


def to_key_mask(mask):
    """What is no padding, as the keys that every head and query may look at.

    host (B, T) -> (B, 1, 1, T) on the device; None stays None
    """
    return None if mask is None else backend.current().asarray(mask)[:, None, None, :]
