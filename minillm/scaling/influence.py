"""Which points decide a law: the same fit without each of them in turn."""

from dataclasses import replace

import numpy as np

from minillm.scaling.objective import DELTAS, Problem
from minillm.scaling.optimum import refine

CURVES_AT_A_TIME = 200


def leave_one_out(problem: Problem, loss: str, theta: np.ndarray) -> np.ndarray:
    """Fit all points but one, for each point: theta (n, columns).

    Each fit starts from the best fit `theta` (columns,) of all points. NaN where what
    is left has no single best curve.
    """
    n = problem.y.shape[1]
    found = np.empty((n, len(theta)))
    for start in range(0, n, CURVES_AT_A_TIME):
        left_out = np.arange(start, min(start + CURVES_AT_A_TIME, n))
        weights = np.repeat(problem.weights, len(left_out), axis=0)
        weights[np.arange(len(left_out)), left_out] = 0
        y = np.broadcast_to(problem.y, weights.shape)
        others = replace(problem, y=y, weights=weights)
        begin = np.tile(theta, (len(left_out), 1))
        # For l1, a delta of 1e-4 is as good as none: the noise is larger.
        curves, _, converged = refine(others, DELTAS[loss][:2], begin)
        found[left_out] = np.where(converged[:, None], curves, np.nan)
    return found
