"""Bootstrap intervals: the law is fitted again to many resampled data sets.

With 30 runs or more, runs are drawn with replacement, each with all its rows (the
bootstrap). With fewer, too little is left: 95 % intervals of six points would hold the
truth 70 % of the time. There, new noise is drawn around the fitted curve (the
parametric bootstrap). Its level s is itself known from only n − p degrees of freedom:
each data set gets its own, s·√((n − p)/χ²), which turns the normal distribution into
Student's t. Where rows share a run, the noise has two levels: see `variance.py`.
"""

from dataclasses import dataclass, replace

import numpy as np

from minillm.laws.formula import AMPLITUDES, EXPONENTS, Form, values
from minillm.laws.huber import Problem
from minillm.laws.minimise import refit
from minillm.laws.variance import Noise

RUNS_TO_BOOTSTRAP = 30
LEVEL = 0.95


@dataclass(frozen=True)
class Resamples:
    """The curves of the resampled data: theta (resamples, columns), and the best fit.

    spread: how large the noise of each was drawn, relative to that of the data; 1 where
    runs were drawn instead.
    failed: how many of the n resamples did not converge, and are not among them.
    """

    form: Form
    best: np.ndarray
    theta: np.ndarray
    spread: np.ndarray
    n: int
    failed: int

    def interval95(self) -> dict[str, list[float]]:
        """The middle 95 % of every unknown."""
        low, high = middle(self.form.natural(self._all()))
        pairs = zip(self.form.names, low, high, strict=True)
        return {name: [float(a), float(b)] for name, a, b in pairs}

    def standard_errors(self) -> dict[str, float]:
        """Every unknown's standard deviation about the best fit, at the level s."""
        sizes = self.form.natural(self._near()).std(0)
        found = dict(zip(self.form.names, map(float, sizes), strict=True))
        return found | {name: 0.0 for name, _ in self.form.fixed}

    def correlations(self) -> dict[str, float]:
        """Correlations of ln A with alpha and of ln B with beta: {"A, alpha": r}."""
        near = self.form.untied(self._near())
        found = {}
        for at in range(len(self.form.variables)):
            amplitude, exponent = near[:, 2 * at + 1], near[:, 2 * at + 2]
            fixed = {AMPLITUDES[at], EXPONENTS[at]} & {
                name for name, _ in self.form.fixed
            }
            if min(amplitude.std(), exponent.std()) > 0 and not fixed:
                names = f"{AMPLITUDES[at]}, {EXPONENTS[at]}"
                found[names] = float(np.corrcoef(amplitude, exponent)[0, 1])
        return found

    def band(self, log_x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The middle 95 % of the curves at every x: low (n,) and high (n,)."""
        return middle(values(self.form, self._all(), log_x))

    def _near(self) -> np.ndarray:
        """The resampled curves, as far from the best fit as noise of level s takes
        them."""
        return self.best + (self.theta - self.best) / self.spread[:, None]

    def _all(self) -> np.ndarray:
        return np.concatenate([self.best[None], self.theta])


def middle(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`ends95` of all samples after the first, widened to hold the first."""
    low, high = ends95(samples[1:])
    return np.minimum(low, samples[0]), np.maximum(high, samples[0])


def ends95(samples: np.ndarray) -> np.ndarray:
    """The ends (low, high) of the middle 95 % of samples, along the first axis."""
    return np.quantile(samples, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2], axis=0)


def resample(
    problem: Problem, noise: Noise, theta: np.ndarray, n: int, seed: int
) -> Resamples:
    """Fit n resampled data sets, each from the best fit `theta` (columns,) on; `noise`
    is that of the residuals."""
    rng = np.random.default_rng(seed)
    n_runs = noise.n_runs
    if n_runs >= RUNS_TO_BOOTSTRAP:
        counts = rng.multinomial(n_runs, np.full(n_runs, 1 / n_runs), size=n)
        spread = np.ones(n)
        weights = counts[:, noise.run] * problem.weights
        y = np.broadcast_to(problem.y, weights.shape)
    else:
        spread, drawn = noise.draw(n, rng)
        y = with_noise(problem, theta, drawn)
        weights = np.broadcast_to(problem.weights, y.shape)
    found, converged = refit(replace(problem, y=y, weights=weights), theta)
    failed = n - int(converged.sum())
    # Where none has converged, curves short of their optimum have to show the spread.
    kept = converged if converged.any() else ~converged
    return Resamples(problem.form, theta, found[kept], spread[kept], n, failed)


def with_noise(problem: Problem, theta: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """y of the curve `theta` with noise (n, points) in the problem's residuals."""
    curve = values(problem.form, theta[None], problem.log_x)
    if problem.in_logs:
        # A level drawn from one degree of freedom may be anything: keep y a number.
        return curve * np.exp(np.clip(problem.sigma * noise, -30, 30))
    return curve + problem.sigma * noise
