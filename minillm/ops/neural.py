"""The ops a GPT is built from: linear maps, lookups, activations, normalisation.

A breakpoint here is hit with MINILLM_PLAIN=1; else a CPU runs the faster bodies of
`backend/cpu.py`.
"""

import math

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
    centred = x - mean_of_rows(x)
    inverse_sd = 1 / xp.sqrt(mean_of_rows(centred * centred) + eps)
    unit = centred * inverse_sd
    y = unit * gain if bias is None else unit * gain + bias

    def pullback(g):
        gu = g * gain
        # The mean and the scale were computed from x too: their part is subtracted.
        gx = (gu - mean_of_rows(gu) - unit * mean_of_rows(gu * unit)) * inverse_sd
        return gx, as_rows(g * unit).sum(0), as_rows(g).sum(0)

    return y, joint(pullback)


@op
def relu(x):
    """max(x, 0); at 0 the slope is 0."""
    return xp.maximum(x, 0), lambda g: g * (x > 0)


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


def mean_of_rows(x):
    """Over the last axis, which stays; 0 where its length is 0."""
    return x.sum(-1, keepdims=True) / max(x.shape[-1], 1)
