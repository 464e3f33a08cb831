"""More reductions, and running sums: min, variance, log Σ exp, cumsum.

`axis` is one axis, several, or None for all, as in `reduction.py`; `cumsum` needs one.
"""

import functools
import math

from minillm.backend import xp
from minillm.ops import checks
from minillm.ops.reduction import axes_of, max, spreading
from minillm.tensor import op


@op(check=functools.partial(checks.something_to_choose, what="min"))
def min(x, *, axis: int | tuple | None = None, keepdims: bool = False):
    """The smallest element; where several are equal, they share the gradient."""
    # min x = −max(−x): both signs of the slope cancel
    y, pullback = max.rule(-x, axis=axis, keepdims=keepdims)
    return -y, pullback


def _enough(x, *, axis=None, keepdims=False, ddof=0) -> None:
    checks.axes_exist(x, axis=axis)
    n = math.prod(x.shape[i] for i in axes_of(x, axis))
    if n <= ddof:
        raise ValueError(
            f"the variance of {n} numbers (shape {x.shape} along axis {axis}) with "
            f"ddof={ddof}: it is divided by {n} - {ddof}, which must be positive"
        )


@op(check=_enough)
def var(x, *, axis: int | tuple | None = None, keepdims: bool = False, ddof: float = 0):
    """The variance: Σ (x − mean)² / (n − ddof).

    `ddof=0`, the default, divides by n as NumPy does; PyTorch's var divides by n − 1
    unless told (its `correction` is `ddof`).
    """
    n = math.prod(x.shape[i] for i in axes_of(x, axis)) - ddof
    centred = x - x.mean(axis, keepdims=True)
    spread = spreading(x, axis, keepdims)
    # The mean moves with x too: its part is a sum over `centred`, which is 0.
    return (
        (centred * centred).sum(axis, keepdims=keepdims) / n,
        lambda g: spread(g) * centred * (2 / n),
    )


@op(check=_enough)
def std(x, *, axis: int | tuple | None = None, keepdims: bool = False, ddof: float = 0):
    """The standard deviation, the root of `var`; its gradient is 0 where all numbers
    are equal, which is a kink: to either side it grows."""
    variance, pull_variance = var.rule(x, axis=axis, keepdims=keepdims, ddof=ddof)
    y = xp.sqrt(variance)
    return y, lambda g: pull_variance(g / (2 * xp.where(y == 0, 1, y)))


@op(check=checks.axes_exist)
def logsumexp(x, *, axis: int | tuple | None = None, keepdims: bool = False):
    """log Σ exp(x), shifted by the maximum so that it cannot overflow; of nothing, and
    where all is −∞, it is −∞. Its gradient is the softmax."""
    if not x.size:  # no maximum
        return x.sum(axis, keepdims=keepdims) - math.inf, lambda g: xp.zeros_like(x)
    largest = x.max(axis, keepdims=True)
    shift = xp.where(xp.isfinite(largest), largest, 0)
    e = xp.exp(x - shift)
    total = e.sum(axis, keepdims=True)
    some = xp.where(total == 0, 1, total)
    y = xp.where(total == 0, -math.inf, shift + xp.log(some))
    if not keepdims:
        gone = axes_of(x, axis)
        y = y.reshape([n for i, n in enumerate(x.shape) if i not in gone])
    spread = spreading(x, axis, keepdims)
    return y, lambda g: spread(g) * (e / some)


@op(check=checks.one_axis)
def cumsum(x, *, axis: int):
    """The sum of the elements so far along an axis, the element itself included."""

    def pullback(g):  # an element is in its own sum and in all that follow
        return xp.flip(xp.cumsum(xp.flip(g, axis), axis), axis)

    return xp.cumsum(x, axis), pullback
