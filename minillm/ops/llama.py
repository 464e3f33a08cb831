"""The ops of Llama's block that GPT's does without: RMS norm, rotary positions, SwiGLU.

As everywhere in `ops/`, a CPU runs faster bodies: those of `backend/cpu_llama.py`.
"""

import numpy as np

from minillm.backend import cpu_llama, joint, xp  # noqa: F401  (registers its bodies)
from minillm.backend.arrays import as_rows
from minillm.ops import checks
from minillm.ops.neural import mean_of_rows
from minillm.tensor import op


@op
def rms_norm(x, gain, *, eps: float = 1e-5):
    """x / sqrt(mean of x² + eps) · gain over the last axis: layer norm without the mean
    (Zhang & Sennrich 2019, eq. 4).   (..., D), (D,) -> (..., D)"""
    inverse_rms = 1 / xp.sqrt(mean_of_rows(x * x) + eps)
    unit = x * inverse_rms

    def pullback(g):
        gu = g * gain
        # The scale was computed from x too: its part is subtracted.
        gx = (gu - unit * mean_of_rows(gu * unit)) * inverse_rms
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
def swiglu(gate, up):
    """silu(gate) · up with silu(x) = x / (1 + exp(−x)): a feed-forward's gate (Shazeer
    2020, eq. 5)."""
    with np.errstate(over="ignore"):  # far down exp(−x) is ∞, and s is 0
        s = 1 / (1 + xp.exp(-gate))
    silu = gate * s
    return silu * up, lambda g: g * up * (s + silu * (1 - s)), lambda g: g * silu
