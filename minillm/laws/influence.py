"""Influence of each point: the law is fitted again without each of them in turn."""

from dataclasses import replace

import numpy as np

from minillm.laws.formula import AMPLITUDES
from minillm.laws.huber import Problem
from minillm.laws.minimise import refit
from minillm.laws.points import Points

# Points of a large table that are left out in turn: all would take as many fits.
MOST_POINTS = 400


def suspects(problem: Problem, theta: np.ndarray) -> np.ndarray:
    """The points that may decide the exponents: (n,) or the likeliest MOST_POINTS.

    Without a point the gradient at the best fit is no longer 0, and one Newton step
    estimates how far the exponents move.
    """
    n = problem.y.shape[1]
    if n <= MOST_POINTS:
        return np.arange(n)
    jacobian = problem.jacobian(theta[None])[0]
    residual = problem.residuals(theta[None])[0]
    even = np.minimum(1, problem.delta / np.maximum(np.abs(residual), 1e-300))
    gradients = jacobian * even * residual
    steps = np.linalg.lstsq((jacobian * even) @ jacobian.T, gradients, rcond=None)[0]
    unknowns = problem.form.unknowns
    at = [name in (problem.form.exponents or unknowns) for name in unknowns]
    return np.argsort(-np.abs(steps[at]).max(0), kind="stable")[:MOST_POINTS]


def leave_one_out(
    problem: Problem, theta: np.ndarray, points: np.ndarray
) -> np.ndarray:
    """Fit all points without one, for each of `points`: theta (points, columns).

    Each fit starts from the best fit `theta` (columns,) of all points. NaN where the
    others have no single best curve.
    """
    weights = np.repeat(problem.weights, len(points), axis=0)
    weights[np.arange(len(points)), points] = 0
    y = np.broadcast_to(problem.y, weights.shape)
    curves, converged = refit(replace(problem, y=y, weights=weights), theta)
    return np.where(converged[:, None], curves, np.nan)


def influence_of(points: Points, theta: np.ndarray) -> list[dict]:
    """The change of the law `theta` without each of its points: `LawFit.influence`."""
    chosen = suspects(points.problem, theta)
    others = leave_one_out(points.problem, theta, chosen)
    names = [name for name in points.form.unknowns if name not in AMPLITUDES]
    if not names:
        return []
    change = (others - theta)[:, [*map(points.form.columns.index, names)]]
    judged = [name in (points.form.exponents or names) for name in names]
    most = np.abs(change[:, judged]).max(1)
    order = np.argsort(-np.nan_to_num(most, nan=np.inf))
    return [
        {
            **points.table.numbered(points.index[chosen[i]]),
            **{
                name: float(x[chosen[i]])
                for name, x in zip(points.variables, points.x, strict=True)
            },
            points.y_name: float(points.y[chosen[i]]),
            "change": {
                name: None if np.isnan(value) else float(value)
                for name, value in zip(names, change[i], strict=True)
            },
        }
        for i in order
    ]
