"""AICc, Akaike's criterion for few points, of a fitted law and of its rivals.

The rivals are other curves through the same points: the power law without a floor, with
one, with one exponent, and the exponential y = E + A·exp(−x/s). Its rate is per step of
x, as that of a power law is per step of ln x (in ln x, an exponential *is* a power
law). A loss that has all but reached its floor looks like an exponential.

The likelihood is that of the loss which the fit has minimised. Minimising Σρ(r) is
maximum likelihood if the noise has the density exp(−ρ(r)/s)/Z(s): the normal one for
squares, Laplace's for |r|, and for Huber's loss one that is normal within δ and falls
exponentially beyond. The scale s is one more unknown, at its most likely value here.
The likelihood then depends on the curve through Σρ alone. So a law that contains
another is never less likely, and its AICc is never worse by more than the penalty for
its unknowns. For the squares of a curve that minimised something else this does not
hold.
"""

import math
from dataclasses import replace

import numpy as np

from minillm.laws.formula import EXPONENTS, Form
from minillm.laws.huber import DELTAS, Problem
from minillm.laws.minimise import Optimum, minimise, search

EXPONENTIAL = "exponential"
# The least residual that counts, in units of its rounding error.
AS_GOOD_AS_0 = 64
GOLDEN = (math.sqrt(5) - 1) / 2


def aicc(problem: Problem, theta: np.ndarray) -> float | None:
    """AICc of a problem with one curve `theta` (columns,); None for too few points.

    −2·ln(likelihood) + 2k + 2k(k + 1)/(n − k − 1), where k counts the unknowns and the
    scale of the noise (Hurvich and Tsai 1989). As is usual, n·(1 + ln 2π) is left out:
    for squares this is n·ln(RSS/n) + 2k + … Compare it within one set of points and one
    loss only.
    """
    residual = problem.residuals(theta[None])[0]
    n, unknowns = residual.size, len(problem.form.unknowns)
    if n <= unknowns + 2:
        return None
    least = problem.total(AS_GOOD_AS_0 * problem.last_digit)
    mean = max(problem.total(residual), least) / n
    surprise = 2 * _surprise(mean, problem.loss) - 1 - math.log(2 * math.pi)
    return n * surprise + penalty(n, unknowns)


def penalty(n: int, unknowns: int) -> float:
    """The penalty of AICc for the unknowns and the scale of the noise, at n points."""
    k = unknowns + 1
    return 2 * k + 2 * k * (k + 1) / (n - k - 1)


def aicc_of_rivals(problem: Problem, optima: dict[Form, Optimum]) -> dict:
    """{name: AICc} of a problem's form and of its rivals, of which `optima` are known.

    The exponential is among them for a law of one variable.
    """
    optima = dict(optima)
    different = np.unique(problem.log_x, axis=1).shape[1]
    found = {}
    for form in rivals(problem.form):
        rival = replace(problem, form=form)
        if different <= len(form.unknowns):
            found[name(form)] = None
            continue
        if form not in optima:
            # With nothing fixed, it contains the curve that was found.
            free = form == replace(problem.form, fixed=())
            also = [optima[problem.form][0]] if free else []
            minimise(rival, optima, *also)
        found[name(form)] = aicc(rival, optima[form][0])
    if len(problem.form.variables) == 1:
        rival = exponential(problem)
        found[EXPONENTIAL] = None
        if different > len(rival.form.unknowns):
            found[EXPONENTIAL] = aicc(rival, search(rival)[0])
    return found


def name(form: Form) -> str:
    """The name of a form among its rivals, e.g. `power + floor`."""
    kind = "tied power" if form.tied else "power"
    if form.floor:
        kind += " − ceiling" if form.ceiling else " + floor"
    fixed = ", ".join(f"{known} = {value:g}" for known, value in form.fixed)
    return f"{kind} ({fixed})" if fixed else kind


def rivals(form: Form) -> list[Form]:
    """The power laws to compare: without a floor, with one, with one exponent, and with
    nothing fixed."""
    fixed = tuple(each for each in form.fixed if each[0] != "E")
    pure = replace(form, floor=False, ceiling=False, tied=False, fixed=fixed)
    full = replace(pure, floor=True, fixed=form.fixed)
    tied = [replace(full, tied=True)] if full.exponents == EXPONENTS else []
    return list(dict.fromkeys([pure, full, *tied, form, replace(form, fixed=())]))


def exponential(problem: Problem) -> Problem:
    """The same points for y = E + A·exp(−rate·u), u = x over its geometric mean."""
    middle = problem.log_x.mean(1, keepdims=True)
    fixed = tuple(each for each in problem.form.fixed if each[0] == "E")
    form = replace(problem.form, floor=True, fixed=fixed)
    return replace(problem, form=form, log_x=np.exp(problem.log_x - middle))


def _surprise(mean: float, loss: str) -> float:
    """−ln(likelihood) of a residual, for the mean of ρ: the least of ln Z(s) + mean/s
    over s."""
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
    for _ in range(60):  # golden-section search
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if at(left) < at(right):
            high = right
        else:
            low = left
    return at(low)
