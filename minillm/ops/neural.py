"""The ops a network is built from: linear maps, lookups, activations, normalisation.

A breakpoint here is hit with MINILLM_PLAIN=1; else a CPU runs the faster bodies of
`backend/cpu.py`.
"""

import math

import numpy as np

from minillm.backend import current, joint, xp
from minillm.backend.arrays import as_rows
from minillm.ops import checks
from minillm.tensor import op


@op(check=checks.linear_fits)
def linear(x, weight, bias):
    """x W + b.   (..., n) @ (n, m) + (m,) -> (..., m); bias may be None."""

    rows = as_rows(x)  # a batch is its rows, one below the other: one large product
    y = rows @ weight if bias is None else rows @ weight + bias
    return (
        y.reshape(*x.shape[:-1], weight.shape[1]),
        lambda g: (as_rows(g) @ weight.T).reshape(x.shape),
        lambda g: rows.T @ as_rows(g),
        lambda g: as_rows(g).sum(0),
    )


@op(check=checks.ids_in_table)
def embedding(table, *, ids):
    """Row ids[...] of the table.   (V, D), ids (...) -> (..., D)

    `ids` are whole numbers from 0 to V − 1, best on the host, also for a table on a
    GPU: see `backend/cuda_scatter.py`.
    """

    def pullback(g):
        gradient = xp.zeros_like(table)
        # A repeated id collects all of its gradients.
        current().add_at(gradient, ids, g)
        return gradient

    return table[xp.asarray(ids)], pullback


@op
def layer_norm(x, gain, bias, *, eps: float = 1e-5):
    """(x − mean) / sqrt(variance + eps) · gain + bias over the last axis (Ba et al.
    2016, eq. 4).   (..., D), (D,), (D,) or None -> (..., D)"""
    centred = x - _mean(x)
    inverse_sd = 1 / xp.sqrt(_mean(centred * centred) + eps)
    unit = centred * inverse_sd
    y = unit * gain if bias is None else unit * gain + bias

    def pullback(g):
        gu = g * gain
        # The mean and the scale were computed from x too: their part is subtracted.
        gx = (gu - _mean(gu) - unit * _mean(gu * unit)) * inverse_sd
        return gx, as_rows(g * unit).sum(0), as_rows(g).sum(0)

    return y, joint(pullback)


@op
def rms_norm(x, gain, *, eps: float = 1e-5):
    """x / sqrt(mean of x² + eps) · gain over the last axis: layer norm without the mean
    (Zhang & Sennrich 2019, eq. 4).   (..., D), (D,) -> (..., D)"""
    inverse_rms = 1 / xp.sqrt(_mean(x * x) + eps)
    unit = x * inverse_rms

    def pullback(g):
        gu = g * gain
        # The scale was computed from x too: its part is subtracted.
        gx = (gu - unit * _mean(gu * unit)) * inverse_rms
        return gx, as_rows(g * unit).sum(0)

    return unit * gain, joint(pullback)


@op(check=checks.heads_can_turn)
def rotary(x, *, cos, sin, n_turned: int | None = None):
    """Rotary positions: number i of a head and number i + d/2 are a point in the plane,
    turned about 0 by the angle of its position (Su et al. 2021, eq. 34, whose pairs are
    neighbours; Llama's are halves, as here).

    x (B, T, n, d) -> the same; cos, sin (T, 1, d/2) or (B, T, 1, d/2), without a
    gradient (`nn/positions.py` makes them). Only the first `n_turned` heads of n are
    turned (None: all).
    """
    half = x.shape[-1] // 2
    cos, sin = cos.astype(x.dtype), sin.astype(x.dtype)

    def turned(x, sin):
        a, b = x[..., :n_turned, :half], x[..., :n_turned, half:]
        both = xp.concatenate([a * cos - b * sin, b * cos + a * sin], -1)
        rest = x[..., both.shape[-2] :, :]
        return xp.concatenate([both, rest], -2)

    return turned(x, sin), lambda g: turned(g, -sin)  # back by the same angle


@op
def relu(x):
    """max(x, 0); at 0 the slope is 0."""
    return xp.maximum(x, 0), lambda g: g * (x > 0)


@op
def sigmoid(x):
    """1 / (1 + exp(−x)): as exact for −20, where it is 2·10⁻⁹, as for 20."""
    with np.errstate(over="ignore"):  # far down exp(−x) is ∞, and y is 0
        y = 1 / (1 + xp.exp(-x))
    return y, lambda g: g * y * (1 - y)


@op
def gelu(x, *, form: str = "tanh"):
    """x·Φ(x), the Gaussian error linear unit (Hendrycks & Gimpel 2016).

    `form="erf"` is exact; `"tanh"` is their approximation, which GPT-2 uses.
    """
    if form == "erf":
        from minillm.ops.special import erf

        cdf = 0.5 * (1 + erf(x * math.sqrt(0.5)))
        density = xp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        return x * cdf, lambda g: g * (cdf + x * density)
    c = math.sqrt(2 / math.pi)
    squared = xp.minimum(x * x, 100)  # from 10 on t is 1; x³ may overflow
    t = xp.tanh(c * x * (1 + 0.044715 * squared))
    y = 0.5 * x * (1 + t)

    def pullback(g):
        slope = c * (1 + 3 * 0.044715 * squared)
        return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope)

    return y, pullback


@op
def swiglu(gate, up):
    """silu(gate) · up with silu(x) = x / (1 + exp(−x)): a feed-forward's gate (Shazeer
    2020, eq. 5)."""
    with np.errstate(over="ignore"):  # as in sigmoid
        s = 1 / (1 + xp.exp(-gate))
    silu = gate * s
    return silu * up, lambda g: g * up * (s + silu * (1 - s)), lambda g: g * silu


@op(check=checks.one_axis)
def softmax(x, *, axis: int = -1):
    """exp(x) / Σ exp(x), shifted by the maximum so that it cannot overflow.

    A row that is −∞ throughout, where everything is masked, becomes zeros.
    """
    if not x.size:  # an axis of length 0 has no maximum
        return x, lambda g: g
    largest = x.max(axis, keepdims=True)
    e = xp.exp(x - xp.where(largest == -math.inf, 0, largest))
    total = e.sum(axis, keepdims=True)
    y = e / xp.where(total == 0, 1, total)
    return y, lambda g: y * (g - (g * y).sum(axis, keepdims=True))


@op(check=checks.one_axis)
def log_softmax(x, *, axis: int = -1):
    """x − log Σ exp(x), the logarithm of softmax, shifted by the maximum."""
    if not x.size:
        return x, lambda g: g
    z = x - x.max(axis, keepdims=True)
    y = z - xp.log(xp.exp(z).sum(axis, keepdims=True))
    return y, lambda g: g - xp.exp(y) * g.sum(axis, keepdims=True)


@op(check=checks.rate_is_a_fraction)
def dropout(x, *, rate: float, key: int, first_row: int = 0):
    """Zero a fraction `rate` of the numbers and divide the others by 1 − rate, so that
    the mean stays (Srivastava et al. 2014).

    The mask is a hash of the key and of a number's place in the *whole* batch, of which
    x holds the rows from `first_row` on: it is the same on every backend, and however
    many workers share the batch.
    """
    kept = hashed_uniform(x.shape, key, first_row) >= int(rate * 2**32)
    scaled = kept.astype(x.dtype) / (1 - rate)
    return x * scaled, lambda g: g * scaled


def hashed_uniform(shape: tuple, key: int, first_row: int = 0):
    """Whole numbers uniform in [0, 2³²), one for each place of the whole batch, of
    which `shape` holds the rows from `first_row` on.

    The place is hashed, then the key is mixed in, then both are hashed again: masks of
    two keys are no shifted copies of one another.
    """
    first = first_row * math.prod(shape[1:])
    place = xp.arange(math.prod(shape), dtype=xp.uint32)
    place += _uint32(first)
    h = _scrambled(place)
    h ^= _uint32(key * 0x9E3779B9)  # 2³² / the golden ratio: spreads small keys
    return _scrambled(h).reshape(shape)


def _scrambled(h):
    """MurmurHash3's last step (Appleby 2011), a one-to-one map, in place."""
    for shift, multiplier in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h ^= h >> shift
        h *= _uint32(multiplier)  # arithmetic is modulo 2³²
    h ^= h >> 16
    return h


def _uint32(number: int):
    return xp.asarray(number & 0xFFFFFFFF, dtype=xp.uint32)


def _mean(x):
    """Over the last axis, which stays; 0 where its length is 0."""
    return x.sum(-1, keepdims=True) / max(x.shape[-1], 1)
