"""Influence of each point: the same fit without each of them in turn."""

from dataclasses import replace

import numpy as np

from minillm.laws.minimise import refine
from minillm.laws.misfit import DELTAS, Problem

CURVES_AT_A_TIME = 200
# Points of a large table that are left out in turn: all would take as many fits.
MOST_POINTS = 400


def suspects(problem: Problem, loss: str, theta: np.ndarray) -> np.ndarray:
    """The points that may decide the exponents: (n,) or the likeliest MOST_POINTS.

    Without a point the gradient at the best fit is no longer 0, and one Newton step
    says about how far the exponents go.
    """
    n = problem.y.shape[1]
    if n <= MOST_POINTS:
        return np.arange(n)
    jacobian = problem.jacobian(theta[None])[0]
    residual = problem.residuals(theta[None])[0]
    even = np.minimum(1, DELTAS[loss][0] / np.maximum(np.abs(residual), 1e-300))
    gradients = jacobian * even * residual
    steps = np.linalg.lstsq((jacobian * even) @ jacobian.T, gradients, rcond=None)[0]
    unknowns = problem.form.unknowns
    at = [name in (problem.form.exponents or unknowns) for name in unknowns]
    return np.argsort(-np.abs(steps[at]).max(0), kind="stable")[:MOST_POINTS]


def leave_one_out(
    problem: Problem, loss: str, theta: np.ndarray, points: np.ndarray
) -> np.ndarray:
    """Fit all points but one, for each of some points: theta (points, columns).

    Each fit starts from the best fit `theta` (columns,) of all points. NaN where what
    is left has no single best curve.
    """
    found = np.empty((len(points), len(theta)))
    for start in range(0, len(points), CURVES_AT_A_TIME):
        left_out = points[start : start + CURVES_AT_A_TIME]
        weights = np.repeat(problem.weights, len(left_out), axis=0)
        weights[np.arange(len(left_out)), left_out] = 0
        y = np.broadcast_to(problem.y, weights.shape)
        others = replace(problem, y=y, weights=weights)
        begin = np.tile(theta, (len(left_out), 1))
        # For l1, a delta of 1e-4 is as good as none: the noise is larger.
        curves, _, converged = refine(others, DELTAS[loss][:2], begin)
        kept = np.where(converged[:, None], curves, np.nan)
        found[start : start + CURVES_AT_A_TIME] = kept
    return found
