"""Other curves through the same points, compared by Akaike's criterion.

The exponential is y = E + A·exp(−x/s): its rate is per step of x, as that of a power
law is per step of ln x (in ln x, an exponential *is* a power law). It is what a loss
looks like that has all but reached its floor.
"""

from dataclasses import replace

import numpy as np

from minillm.laws.curve import EXPONENTS, Form
from minillm.laws.likelihood import criterion
from minillm.laws.minimise import Optimum, minimise, search
from minillm.laws.misfit import Problem

EXPONENTIAL = "exponential"


def name(form: Form) -> str:
    """What a form is called among its rivals, e.g. `power + floor`."""
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


def criteria(problem: Problem, loss: str, optima: dict[Form, Optimum]) -> dict:
    """{name: AICc} of a problem's form and of its rivals, of which `optima` are known.

    The exponential stands among them where there is one variable.
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
            minimise(rival, loss, optima, *also)
        found[name(form)] = criterion(rival, loss, optima[form][0])
    if len(problem.form.variables) == 1:
        rival = exponential(problem)
        found[EXPONENTIAL] = None
        if different > len(rival.form.unknowns):
            found[EXPONENTIAL] = criterion(rival, loss, search(rival, loss)[0])
    return found


def exponential(problem: Problem) -> Problem:
    """The same points for y = E + A·exp(−rate·u), u = x over its geometric mean."""
    middle = problem.log_x.mean(1, keepdims=True)
    fixed = tuple(each for each in problem.form.fixed if each[0] == "E")
    form = replace(problem.form, floor=True, fixed=fixed)
    return replace(problem, form=form, log_x=np.exp(problem.log_x - middle))
