"""Minimise the Huber loss: many starts, then Newton's method to the end.

For a given exponent the rest of the law is linear with non-negative coefficients, so a
grid of exponents gives good starts (variable projection). From each, Newton's method
with exact derivatives goes down to an optimum. A general minimiser with its usual
tolerances stops early and calls it converged: Besiroglu et al. (2024) found that the
constants printed in Hoffmann et al. (2022) came about in this way.

Every step works on a batch of curves: one for each start, or each resampled data set.
"""

from dataclasses import replace
from itertools import combinations

import numpy as np

from minillm.laws.formula import EXPONENTS, Form
from minillm.laws.huber import DELTAS, EPSILON, Problem

LARGEST_EXPONENT = 5.0
# With a smaller one, over any measurable range, the law is one of ln x without a limit.
LEAST_EXPONENT_TO_A_CEILING = 0.05
STARTS_KEPT = 32
NUMBERS_AT_A_TIME = 400_000  # of the derivatives of a batch

Optimum = tuple[np.ndarray, bool]  # theta (columns,), and whether it has converged


def bounds(form: Form) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest theta: E >= 0, exponents within ± 5, and twice the same
    value for a fixed parameter."""
    low = np.full(form.n_columns, -np.inf)
    high = np.full(form.n_columns, np.inf)
    low[0] = 0
    low[2::2] = LEAST_EXPONENT_TO_A_CEILING if form.ceiling else -LARGEST_EXPONENT
    high[2::2] = LARGEST_EXPONENT
    known = ~np.isnan(form.held)
    low[known] = high[known] = form.held[known]
    return low, high


def newton(problem: Problem, theta: np.ndarray, max_steps: int = 400):
    """Newton's method: damped steps from every theta down to an optimum, within bounds.

    Returns theta, the objective, and `converged`: True only where the gradient is 0 up
    to rounding, or an undamped step promises less than rounding; and where no direction
    bends down, so that it is an optimum.
    """
    theta = theta.copy()
    low, high = bounds(problem.form)
    damping = np.ones(len(theta))
    value = np.full(len(theta), np.inf)
    converged = np.zeros(len(theta), bool)
    left = np.arange(len(theta))
    known = None  # the slopes at the curves that are left, while none has moved
    for _ in range(max_steps):
        if len(left) == 0:
            break
        here = theta[left]
        slopes = known or problem.slopes(here)
        held = (here <= low) & (slopes.gradient > 0)
        held |= (here >= high) & (slopes.gradient < 0)
        held |= low == high
        step, promised, hessian = slopes.newton(held, damping[left])
        # A step may leave the bounds where the gradient would not.
        outward = (here <= low) & (step < 0) | (here >= high) & (step > 0)
        if outward.any():
            step, promised, hessian = slopes.newton(held | outward, damping[left])
        there = walk(here, step, low, high)
        reached = problem.objective(there)

        better = reached <= slopes.value + slopes.rounding
        theta[left] = np.where(better[:, None], there, here)
        value[left] = np.where(better, reached, slopes.value)
        small = promised <= 1e-16 * slopes.value + slopes.least
        level = held | (np.abs(slopes.gradient) <= slopes.gradient_rounding)
        done = level.all(1) | better & small & (damping[left] == 0)
        if done.any():
            converged[left[done]] = np.linalg.eigvalsh(hessian[done])[:, 0] > -1e-9
        weaker = np.where(small | (damping[left] < 0.01), 0, damping[left] / 10)
        stronger = np.maximum(10 * damping[left], 0.01)
        damping[left] = np.where(better, weaker, stronger)
        going = ~done & (damping[left] < 1e12)
        known = None if better.any() else slopes
        if not going.all():
            left, problem, known = left[going], problem.curves(going), None
    return theta, value, converged


def walk(here, step, low, high) -> np.ndarray:
    """The end of every step, or of its part within the bounds."""
    wall = np.where(step < 0, low, high)
    with np.errstate(invalid="ignore", divide="ignore"):
        room = np.where(step == 0, np.inf, (wall - here) / step)
    part = np.minimum(1, room.min(1, keepdims=True))
    return np.where(room <= part, wall, here + part * step)


def starts(problem: Problem) -> np.ndarray:
    """One curve for every exponent of a grid: (starts, columns).

    It has the least squares of the relative error, or of y, divided by sigma, for a
    problem with one curve.
    """
    form = problem.form
    sizes = np.geomspace(0.02, 4, 24 if len(form.variables) == 1 else 12)
    grid = sizes if form.ceiling else np.concatenate([-sizes, sizes])
    held = form.held
    grids = [grid if np.isnan(known) else known for known in held[2::2]]
    axes = np.meshgrid(*grids, indexing="ij")
    exponents = np.stack(axes, -1).reshape(-1, len(grids))
    logs = -exponents[:, :, None] * problem.log_x
    largest = logs.max(2)
    columns = form.sign * np.exp(logs - largest[:, :, None])
    columns = np.insert(columns, 0, 1.0, axis=1)
    known = np.append(held[0], held[1::2])
    found = np.exp(known + np.insert(largest, 0, 0.0, axis=1))
    found[:, 0] = known[0]
    free = np.isnan(known)
    y = problem.y[0]
    unit = problem.sigma * (y if problem.in_logs else 1)
    rest = y - (found[:, ~free, None] * columns[:, ~free]).sum(1)
    found[:, free] = non_negative_least_squares(
        columns[:, free], rest, problem.weights[0] / unit**2
    )
    theta = np.empty((len(exponents), form.n_columns))
    theta[:, 0] = found[:, 0]
    theta[:, 1::2] = np.log(np.maximum(found[:, 1:], 1e-6 * y.mean())) - largest
    theta[:, 2::2] = exponents
    if form.ceiling:  # positive everywhere, or it has no logarithm
        deepest = np.exp(theta[:, 1::2, None] + logs).sum(1).max(1)
        lowest = y.min()
        if np.isnan(held[0]):
            theta[:, 0] = np.maximum(theta[:, 0], deepest + lowest)
        else:
            room = held[0] - min(lowest, held[0] / 2)
            theta[:, 1::2] += np.log(np.minimum(1, room / deepest))[:, None]
    theta = np.where(np.isnan(held), theta, held)
    # A term of size zero has no slope to follow.
    useful = (found[:, free] > 0).all(1)
    return theta[useful] if useful.any() else theta


def non_negative_least_squares(
    columns: np.ndarray, y: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Coefficients >= 0 of the least weighted squares, by trying every set of columns.

    columns (curves, k, n), y (curves, n), weights (n,) -> (curves, k), for k of three
    or less.
    """
    n_curves, k, _ = columns.shape
    products = (columns * weights) @ columns.swapaxes(1, 2)
    right = ((columns * weights) @ y[:, :, None])[:, :, 0]
    size = np.sqrt(np.einsum("rii->ri", products))
    products = products / (size[:, :, None] * size[:, None, :]) + 1e-14 * np.eye(k)
    right = right / size
    best = np.zeros(n_curves)
    coefficients = np.zeros((n_curves, k))
    sets = [c for count in range(1, k + 1) for c in combinations(range(k), count)]
    for chosen in map(list, sets):
        part = products[:, chosen][:, :, chosen]
        found = np.linalg.solve(part, right[:, chosen, None])[:, :, 0]
        gain = np.where((found >= 0).all(1), (found * right[:, chosen]).sum(1), 0)
        better = np.flatnonzero(gain > best)
        best[better] = gain[better]
        coefficients[better] = 0
        coefficients[np.ix_(better, chosen)] = found[better]
    return coefficients / size


def refine(
    problem: Problem, deltas: tuple[float, ...], theta: np.ndarray, late: int = 0
):
    """`newton` with one delta after another, each a start for the next.

    The last `late` curves join for the last delta alone: a curve that is followed from
    the first one on may end elsewhere.
    ln x is counted from the middle of the points, where A and alpha are the least
    correlated; from 0 where A is fixed, which is A at x = 1.
    """
    centre = problem.log_x.mean(1, keepdims=True)
    centre[~np.isnan(problem.form.held[1::2])] = 0
    problem = problem.about(centre)
    theta = theta.copy()
    theta[:, 1::2] -= theta[:, 2::2] * centre[:, 0]
    early = slice(len(theta) - late)
    for delta in deltas[:-1]:
        wider = replace(problem.curves(early), delta=delta)
        theta[early] = newton(wider, theta[early])[0]
    theta, value, converged = newton(replace(problem, delta=deltas[-1]), theta)
    theta[:, 1::2] += theta[:, 2::2] * centre[:, 0]
    return theta, value, converged


def contained(form: Form) -> list[Form]:
    """The laws that a law contains: the pure power law, the law with one exponent."""
    found = []
    if form.seeks_floor:
        found.append(replace(form, floor=False))
    if form.exponents == EXPONENTS:
        found.append(replace(form, tied=True))
    return found


def minimise(problem: Problem, found: dict[Form, Optimum], *also) -> Optimum:
    """The best theta of a problem with one curve, and whether it has converged.

    The laws that it contains are fitted first, and start its own search, as do the
    curves `also` (columns,): so it fits no worse than they do. `found` holds the optima
    of the same points, by form: what is there is not fitted again, what is new joins.
    """
    for form in contained(problem.form):
        if form not in found:
            minimise(replace(problem, form=form), found)
        narrower = form.untied(found[form][0][None])[0]
        also = *also, narrower[: problem.form.n_columns]
    found[problem.form] = search(problem, *also)
    return found[problem.form]


def search(problem: Problem, *also: np.ndarray) -> Optimum:
    """As `minimise`: every start of a grid goes down to its own optimum, and the least
    of them is taken."""
    begin = starts(problem)
    first = _repeated(problem, len(begin)).objective(begin)
    kept = np.argsort(first)[: min(STARTS_KEPT, max(1, np.isfinite(first).sum()))]
    begin = np.stack([*begin[kept], *also])
    theta, value, converged = refine(
        _repeated(problem, len(begin)), DELTAS[problem.loss], begin, late=len(also)
    )
    as_good_as_0 = problem.y.size * (16 * EPSILON) ** 2
    among = np.flatnonzero(value <= value.min() * (1 + 1e-9) + as_good_as_0)
    chosen = among[np.argmax(converged[among])]
    return theta[chosen], bool(converged[chosen])


def _repeated(problem: Problem, n: int) -> Problem:
    """The points of a problem with one curve, for n curves."""
    return problem.curves(np.zeros(n, int))


def refit(problem: Problem, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit every data set of a problem, each from the best fit `theta` (columns,) on.

    Returns theta (data sets, columns), and whether each has converged.
    """
    n, n_points = problem.y.shape
    found = np.empty((n, len(theta)))
    converged = np.empty(n, bool)
    # For l1, a delta of 1e-4 is as good as none: the noise is larger.
    deltas = DELTAS[problem.loss][:2]
    step = max(1, NUMBERS_AT_A_TIME // (n_points * len(theta)))
    for start in range(0, n, step):
        part = slice(start, start + step)
        begin = np.tile(theta, (len(found[part]), 1))
        found[part], _, converged[part] = refine(problem.curves(part), deltas, begin)
    return found, converged
