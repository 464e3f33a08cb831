"""Functions of each number by itself: what a GPT does without.

The two arrays of `maximum`, `minimum` and `pow` broadcast, as in `arithmetic.py`.
"""

import numpy as np

from minillm.backend import xp
from minillm.ops import checks
from minillm.ops.arithmetic import quotient
from minillm.tensor import op


@op(check=checks.one_exponent)
def power(x, *, exponent: float):
    """x to a constant power."""
    if exponent == 2:  # NumPy's x**3 takes 150 multiplications' time; x**2 takes one
        return x * x, lambda g: g * (2 * x)
    if exponent == 0:  # else 0 · 0⁻¹ at 0
        return x**0, xp.zeros_like

    def pullback(g):
        base = xp.where(g == 0, 1, x)  # see quotient
        return g * (exponent * base ** (exponent - 1))

    return x**exponent, pullback


@op
def exp(x):
    """e to the power x."""
    y = xp.exp(x)
    return y, lambda g: g * y


@op
def log(x):
    """The natural logarithm of x."""
    return xp.log(x), lambda g: quotient(g, x)


@op
def sqrt(x):
    """The square root of x."""
    y = xp.sqrt(x)
    return y, lambda g: quotient(g, 2 * y)


@op
def tanh(x):
    """The hyperbolic tangent of x, between −1 and 1."""
    y = xp.tanh(x)
    return y, lambda g: g * (1 - y * y)


@op(check=checks.condition_comes_last)
def where(x, y, *, condition):
    """x where the condition holds, y elsewhere; the side not taken gets gradient 0."""
    condition = xp.asarray(condition)  # CuPy's `where` takes no True or False
    return (
        xp.where(condition, x, y),
        lambda g: xp.where(condition, g, xp.zeros_like(g)),
        lambda g: xp.where(condition, xp.zeros_like(g), g),
    )


@op
def sigmoid(x):
    """1 / (1 + exp(−x)): as exact for −20, where it is 2·10⁻⁹, as for 20."""
    with np.errstate(over="ignore"):  # far down exp(−x) is ∞, and y is 0
        y = 1 / (1 + xp.exp(-x))
    return y, lambda g: g * y * (1 - y)


@op
def abs(x):
    """|x|; at 0 the slope is 0."""
    return xp.abs(x), lambda g: g * xp.sign(x)


@op
def sin(x):
    """The sine of x, in radians."""
    return xp.sin(x), lambda g: g * xp.cos(x)


@op
def cos(x):
    """The cosine of x, in radians."""
    return xp.cos(x), lambda g: -g * xp.sin(x)


@op
def log1p(x):
    """log(1 + x), exact for small x too."""
    return xp.log1p(x), lambda g: quotient(g, 1 + x)


@op
def maximum(x, y):
    """The larger of x and y, element by element; where they are equal, each gets half
    of the gradient, as in `max`."""
    return (
        xp.maximum(x, y),
        lambda g: g * _share(x > y, x == y, g),
        lambda g: g * _share(y > x, x == y, g),
    )


@op
def minimum(x, y):
    """The smaller of x and y; ties as in `maximum`."""
    return (
        xp.minimum(x, y),
        lambda g: g * _share(x < y, x == y, g),
        lambda g: g * _share(y < x, x == y, g),
    )


def _limits(x, *, min=None, max=None) -> None:
    for name, limit in (("min", min), ("max", max)):
        if not isinstance(limit, (int, float, type(None))):
            raise TypeError(
                f"clip: {name} is one number, not {limit!r:.60}; for one limit for "
                f"each element use maximum(x, low) and minimum(x, high)"
            )
    if min is None and max is None:
        raise TypeError("clip: min or max is needed, or both")
    if min is not None and max is not None and not min <= max:
        raise ValueError(f"clip: min {min} is larger than max {max}")


@op(check=_limits)
def clip(x, *, min: float | None = None, max: float | None = None):
    """x, but at least `min` and at most `max`; None: no such limit.

    What lies beyond a limit gets gradient 0; at the limit itself it passes.
    """

    def pullback(g):
        if min is not None:
            g = g * (x >= min)
        return g if max is None else g * (x <= max)

    return xp.clip(x, min, max), pullback


@op
def pow(x, y):
    """x to the power y, element by element, both with a gradient: `x ** y`, `2 ** x`.

    A constant exponent is quicker by `power`. d/dy is x**y · log x: 0 at x = 0 for
    y ≥ 0, as in PyTorch, and NaN for a negative x.
    """
    z = x**y

    def pull_x(g):
        base = xp.where((g == 0) | (y == 0), xp.ones_like(z), x)  # else 0 · 0⁻¹
        return g * y * base ** (y - 1)

    def pull_y(g):
        cut = (g == 0) | ((x == 0) & (y >= 0))  # else 0 · log 0
        base = xp.where(cut, xp.ones_like(z), x)
        return g * xp.where(cut, xp.zeros_like(z), z) * xp.log(base)

    return z, pull_x, pull_y


@op
def silu(x):
    """x·σ(x), the sigmoid linear unit, also called swish (Elfwing et al. 2018)."""
    s, _ = sigmoid.rule(x)
    return x * s, lambda g: g * (s * (1 + x * (1 - s)))


@op
def softplus(x):
    """log(1 + exp(x)), a smooth relu, which does not overflow; its slope is σ(x).

    The loss of a logistic regression is softplus(−margin).
    """
    zero = xp.zeros_like(x)
    return xp.logaddexp(x, zero), lambda g: g * sigmoid.rule(x)[0]


def _share(taken, equal, g):
    """1 where an argument is taken, ½ where both are, else 0: in g's type."""
    return taken.astype(g.dtype) + equal.astype(g.dtype) / 2
