"""Variance components of the noise: shared by the rows of a run, and of each row.

Branches of one trunk share noise: that of its first weights and its batches. So a
residual is u of its run, with variance τ², plus e of its own, with variance σ². Both
show in the residuals of a fit: σ² in their mean square within runs, σ² + mτ² in that
between runs, which have m rows each. An unknown takes its degree of freedom between or
within runs, in the shares of its leverage: alpha between runs, which differ in size,
beta within them.

Check: in 200 simulated series of six sizes at four lengths, with τ = 0.3 % and σ =
0.1 %, the 95 % intervals of alpha and beta hold the truth in 95 % and 93 %. Rows taken
for independent: in 67 % and 99 % (beta's are then 2.5 times too wide); whole runs drawn
with replacement: in 99 % and 82 %.

An outlier is no noise: a run that lies ten times as far from the curve as the others
does not count for their level. In the resampled data sets it stays as far off, on
either side of the curve. This holds where the loss lets such a run pull no harder than
the others, as Huber's and |r| do: squares follow it, and its distance is noise too.
"""

from dataclasses import dataclass, replace

import numpy as np

from minillm.laws.huber import Problem

# Between runs: with fewer, shared noise cannot be seen.
LEAST_DEGREES = 0.5
# An outlier: this many times the level of the others, which have so many degrees of
# freedom. By chance 1.5 % of tables of seven points have one (Student's t with three
# degrees), and 1 of 10,000 of twelve.
FAR_OFF = 10.0
LEAST_OTHERS = 3
MOST_FAR_OFF = 0.25  # of all points


@dataclass(frozen=True)
class Noise:
    """Analysis of variance of the residuals of a fit, between and within runs.

    run: (n,), the number of each row's run, from 0. squares and degrees: (between,
    within), sums of squares and their degrees of freedom. rows: m, of a run. seen:
    False where the given runs were too few to show shared noise, so that each row
    stands for a run. outliers: (n,), their residuals, and NaN elsewhere.
    """

    run: np.ndarray
    squares: tuple[float, float]
    degrees: tuple[float, float]
    rows: float
    outliers: np.ndarray
    seen: bool = True

    @property
    def n_runs(self) -> int:
        return int(self.run.max()) + 1

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """New noise for n data sets: its spread (n,), and the noise (n, rows).

        Each data set gets levels of its own, as uncertain as they are; spread is their
        sum over that of the estimated levels (standard deviations).
        """
        between, within = self.degrees
        normals = rng.chisquare(between, n)
        others = rng.chisquare(within, n) if within else 0.0
        shared, own = self._levels(normals, others)
        size = (n, self.n_runs)
        noise = (np.sqrt(shared)[:, None] * rng.standard_normal(size))[:, self.run]
        if within:
            size = (n, len(self.run))
            noise = noise + np.sqrt(own)[:, None] * rng.standard_normal(size)
        known = sum(self._levels(*self.degrees))
        spread = np.sqrt((shared + own) / known) if known > 0 else np.ones(n)
        far = self.outliers * rng.choice([-1.0, 1.0], noise.shape)
        return spread, np.where(np.isnan(far), noise, far)

    def _levels(self, between, within):
        """(τ², σ²), if the sums of squares had these values for unit variance."""
        squares = self.squares
        own = squares[1] / within if self.degrees[1] else 0.0
        # Without shared noise both sums show σ².
        own = np.minimum(own, sum(squares) / (between + within))
        shared = np.maximum(0, squares[0] / between - own) / self.rows
        return shared, own


def noise_of(
    problem: Problem, theta: np.ndarray, run: np.ndarray, robust: bool = False
) -> Noise:
    """The noise of a problem with one curve about its best fit `theta` (columns,).

    robust: whether outliers are set apart, where every row is a run.
    """
    residual = problem.residuals(theta[None])[0]
    jacobian = problem.jacobian(theta[None])[0]
    n, unknowns = len(residual), len(jacobian)
    alone = run.max() + 1 == n
    far = far_off(residual, unknowns) if robust and alone else np.zeros(n, bool)
    outliers = np.where(far, residual, np.nan)
    residual, of_run, jacobian = residual[~far], run[~far], jacobian[:, ~far]
    n = len(residual)

    directions, _ = np.linalg.qr(jacobian.T)
    _, of_run = np.unique(of_run, return_inverse=True)
    size = np.bincount(of_run)
    sums = np.zeros((len(size), unknowns))
    np.add.at(sums, of_run, directions)
    leverage = float((sums**2 / size[:, None]).sum())
    # Rounded, so that whole numbers are exact.
    between = round(len(size) - leverage, 9)
    within = max(0.0, round(n - len(size) - unknowns + leverage, 9))
    if between < LEAST_DEGREES and len(size) < n:
        return replace(noise_of(problem, theta, np.arange(n)), seen=False)
    means = np.bincount(of_run, residual) / size
    squares = (
        float((size * means**2).sum()),
        float(((residual - means[of_run]) ** 2).sum()),
    )
    rows = (n - float((sums**2).sum())) / between
    return Noise(run, squares, (between, within), rows, outliers)


def far_off(residual: np.ndarray, unknowns: int) -> np.ndarray:
    """(n,): which points are outliers beside the others."""
    size = np.abs(residual)
    order = np.argsort(-size)
    most = min(int(MOST_FAR_OFF * len(size)), len(size) - unknowns - LEAST_OTHERS)
    far = np.zeros(len(size), bool)
    for count in range(1, most + 1):
        others = size[order[count:]]
        level = np.sqrt((others**2).sum() / (len(others) - unknowns))
        if size[order[count - 1]] > FAR_OFF * level:
            far[order[:count]] = True
    return far
