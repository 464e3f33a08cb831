"""Other curves through the same points, compared by Akaike's criterion.

The exponential is y = E + A·exp(−x/s): its rate is per step of x, as that of a power
law is per step of ln x (in ln x, an exponential *is* a power law). It is what a loss
looks like that has all but reached its floor.
"""

from dataclasses import replace

import numpy as np

from minillm.scaling.curve import Form
from minillm.scaling.misfit import Problem
from minillm.scaling.optimum import minimise

EXPONENTIAL = "exponential"


def criterion(residual: np.ndarray, unknowns: int) -> float | None:
    """AICc, Akaike's criterion for few points; None where they are too few for it.

    n·ln(RSS/n) + 2k + 2k(k + 1)/(n − k − 1), where k counts the unknowns and the noise
    level (Hurvich and Tsai 1989). Compare it within one set of points only.
    """
    n, k = residual.size, unknowns + 1
    if n <= k + 1:
        return None
    square = max(float((residual**2).mean()), np.finfo(float).eps ** 2)
    return float(n * np.log(square) + 2 * k + 2 * k * (k + 1) / (n - k - 1))


def name(form: Form) -> str:
    """What a form is called among its rivals, e.g. `power + floor`."""
    kind = "tied power" if form.tied else "power"
    if not form.floor:
        return kind
    return f"{kind} {'− ceiling' if form.ceiling else '+ floor'}"


def rivals(form: Form) -> list[Form]:
    """The power laws to compare: without a floor, with one, with one exponent."""
    pure = replace(form, floor=False, ceiling=False, tied=False)
    full = replace(form, floor=True, tied=False)
    tied = [replace(full, tied=True)] if len(form.variables) == 2 else []
    return list(dict.fromkeys([pure, full, *tied, form]))


def criteria(problem: Problem, loss: str, own: float | None) -> dict:
    """{name: AICc} of the rivals of a problem; `own` is that of the problem's form.

    The exponential stands among them where there is one variable.
    """
    different = np.unique(problem.log_x, axis=1).shape[1]

    def tried(rival: Problem) -> float | None:
        unknowns = len(rival.form.unknowns)
        if different <= unknowns:
            return None
        theta, _ = minimise(rival, loss)
        return criterion(rival.residuals(theta[None])[0], unknowns)

    found = {
        name(form): own if form == problem.form else tried(replace(problem, form=form))
        for form in rivals(problem.form)
    }
    if len(problem.form.variables) == 1:
        found[EXPONENTIAL] = tried(exponential(problem))
    return found


def exponential(problem: Problem) -> Problem:
    """The same points for y = E + A·exp(−rate·u), u = x over its geometric mean."""
    middle = problem.log_x.mean(1, keepdims=True)
    form = replace(problem.form, floor=True)
    return replace(problem, form=form, log_x=np.exp(problem.log_x - middle))
