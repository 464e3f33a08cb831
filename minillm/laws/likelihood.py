"""AICc by the likelihood of the loss that a fit has minimised.

Minimising Σρ(r) is maximum likelihood if the noise has the density exp(−ρ(r)/s)/Z(s):
the normal one for squares, Laplace's for |r|, and for Huber's loss one that is normal
within δ and falls exponentially beyond. The scale s is one more unknown, at its most
likely value here. The likelihood then depends on the curve through Σρ alone. So a law
that contains another is never less likely, and its AICc is never worse by more than the
penalty for its unknowns. For the squares of a curve that minimised something else this
does not hold.
"""

import math

import numpy as np

from minillm.laws.misfit import DELTAS, Problem

# The least residual that counts, in units of the rounding of one.
AS_GOOD_AS_0 = 64
GOLDEN = (math.sqrt(5) - 1) / 2


def misfit(residual: np.ndarray, loss: str) -> float:
    """Σρ(r): of r²/2 for `lsq`, |r| for `l1`, Huber's loss with δ = 1e-3."""
    size = np.abs(residual)
    if loss == "l1":
        return float(size.sum())
    near = np.minimum(size, DELTAS[loss][0])
    return float((near * (size - near / 2)).sum())


def criterion(problem: Problem, loss: str, theta: np.ndarray) -> float | None:
    """AICc, Akaike's criterion for few points, of a problem with one curve `theta`.

    −2·ln(likelihood) + 2k + 2k(k + 1)/(n − k − 1), where k counts the unknowns and the
    scale of the noise (Hurvich and Tsai 1989). As is usual, n·(1 + ln 2π) is left out:
    for squares this is n·ln(RSS/n) + 2k + … Compare it within one set of points and one
    loss only. None where the points are too few for it.
    """
    residual = problem.residuals(theta[None])[0]
    n, unknowns = residual.size, len(problem.form.unknowns)
    if n <= unknowns + 2:
        return None
    least = misfit(AS_GOOD_AS_0 * problem.last_digit, loss)
    mean = max(misfit(residual, loss), least) / n
    surprise = 2 * _surprise(mean, loss) - 1 - math.log(2 * math.pi)
    return n * surprise + penalty(n, unknowns)


def penalty(n: int, unknowns: int) -> float:
    """What AICc takes for so many unknowns and the scale of the noise, at n points."""
    k = unknowns + 1
    return 2 * k + 2 * k * (k + 1) / (n - k - 1)


def _surprise(mean: float, loss: str) -> float:
    """−ln(likelihood) of a residual, for the mean of ρ: ln Z(s) + mean/s at the s where
    that is least."""
    if loss == "l1":
        return math.log(2 * mean) + 1
    if loss == "lsq":
        return 0.5 * math.log(4 * math.pi * mean) + 0.5
    delta = DELTAS[loss][0]

    def at(rate: float) -> float:
        """In 1/s this is convex, as ln Z is."""
        inside = math.sqrt(2 * math.pi / rate) * math.erf(delta * math.sqrt(rate / 2))
        beyond = 2 / (rate * delta) * math.exp(-(delta**2) * rate / 2)
        return math.log(inside + beyond) + mean * rate

    # The mean of ρ is s/2 where all is within δ, and s where all is beyond.
    low, high = 0.5 / mean, 1 / mean
    for _ in range(60):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if at(left) < at(right):
            high = right
        else:
            low = left
    return at(low)
