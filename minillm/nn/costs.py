"""What a layer costs beyond its matrices: FLOPs, and numbers kept for backward.

What is not named here costs nothing. A layer's own layers are counted by themselves.
"""

import functools

from minillm.nn.attention import MultiHeadAttention
from minillm.nn.cross_attention import CrossAttention
from minillm.nn.layers import FeedForward, LayerNorm
from minillm.nn.module import Module
from minillm.nn.recurrent import LSTM
from minillm.nn.rms_norm import RMSNorm


@functools.singledispatch
def flops(layer: Module, n_keys: int) -> float:
    """FLOPs of a forward pass for one token, which looks at `n_keys` keys, that no
    matrix among the parameters tells of: q kᵀ, and the weighted sum of values."""
    return 0.0


@flops.register
def _(layer: MultiHeadAttention, n_keys: int) -> float:
    # Under a causal mask a query sees half of the keys, in the mean.
    return 4 * n_keys * layer.out.weight.shape[0] * (0.5 if layer.causal else 1)


@flops.register
def _(layer: CrossAttention, n_keys: int) -> float:
    return 4 * n_keys * layer.out.weight.shape[0]


@functools.singledispatch
def kept(layer: Module, n_keys: int) -> int:
    """About how many numbers are kept of each token, which looks at `n_keys` keys, for
    the backward pass."""
    return 0


@kept.register(LayerNorm)
@kept.register(RMSNorm)
def _(layer, n_keys: int) -> int:
    """Unit vectors, the output, and the sum on the residual path beside it."""
    return 3 * layer.gain.size


@kept.register
def _(layer: FeedForward, n_keys: int) -> int:
    """Of the wide layer what goes into f, its slopes and what comes out."""
    d_ff, width = layer.down.weight.shape
    return (3 if layer.gate is None else 5) * d_ff + 2 * width


@kept.register
def _(layer: MultiHeadAttention, n_keys: int) -> int:
    """Queries, keys and values (once more where they are turned, three times where they
    are normalised), their mean, the output, and the weights."""
    width, of_heads = layer.qkv.weight.shape
    times = 1 + layer.rotary + 3 * (layer.q_norm is not None)
    return times * of_heads + 2 * width + layer.n_heads * n_keys


@kept.register
def _(layer: CrossAttention, n_keys: int) -> int:
    """The same, of a memory as long."""
    width, of_memory = layer.kv.weight.shape
    return of_memory + 3 * width + layer.n_heads * n_keys


@kept.register
def _(layer: LSTM, n_keys: int) -> int:
    """The gates, the states with what was read, and what the cell shows."""
    return 8 * layer.recurrent.shape[0] + layer.input.weight.shape[0]
