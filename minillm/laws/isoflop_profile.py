"""isoFLOP profile: the losses of models of many sizes, trained with equal FLOPs.

Its minimum is the best size for that budget: the minimum of a parabola in ln N through
the five sizes around the lowest loss (Hoffmann et al. 2022, approach 2, which takes all
sizes), and beside it that of a spline through all sizes.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minillm.laws.sweep import alike

# Sizes nearer than this factor are one: between them a curve cannot be seen.
ONE_SIZE = 1.05
AROUND_MINIMUM = 5
FEWEST_SIZES = 3


@dataclass(frozen=True, eq=False)
class Profile:
    """The runs of one compute budget, in any order.

    flops: the budget C. n, d, loss: (runs,) parameters, tokens and losses.
    """

    flops: float
    n: np.ndarray
    d: np.ndarray
    loss: np.ndarray

    @cached_property
    def place(self) -> np.ndarray:
        """(runs,): the number of each run's size, counted from 0 at the smallest."""
        return alike(self.n, ONE_SIZE)

    @cached_property
    def sizes(self) -> np.ndarray:
        """The median N of each size, the smallest first."""
        return self._medians(self.n)

    @cached_property
    def medians(self) -> np.ndarray:
        """The median loss of each size."""
        return self._medians(self.loss)

    @cached_property
    def near(self) -> np.ndarray:
        """(runs,): whether a run is of one of the five sizes around the lowest loss."""
        last = max(0, len(self.sizes) - AROUND_MINIMUM)
        first = min(max(0, int(self.medians.argmin()) - AROUND_MINIMUM // 2), last)
        return (self.place >= first) & (self.place < first + AROUND_MINIMUM)

    @cached_property
    def middle(self) -> float:
        """The mean ln N, from which ln N is counted."""
        return float(np.log(self.n[self.near]).mean())

    @cached_property
    def powers(self) -> np.ndarray:
        """(3, runs near): 1, ln N and (ln N)², as the parabola takes them."""
        log_n = np.log(self.n[self.near]) - self.middle
        return np.stack([np.ones_like(log_n), log_n, log_n**2])

    def parabolas(self, loss: np.ndarray) -> np.ndarray:
        """Least squares: the losses (curves, runs near) -> coefficients (curves, 3)."""
        return loss @ np.linalg.pinv(self.powers)

    @cached_property
    def parabola(self) -> np.ndarray:
        """(3,): the coefficients of the measured losses."""
        return self.parabolas(self.loss[self.near][None])[0]

    @property
    def opens_downward(self) -> bool:
        return bool(self.parabola[2] <= 1e-12 * self.medians.max())

    def optimum(self, parabolas: np.ndarray) -> np.ndarray:
        """ln N at the minimum of each parabola (curves, 3), within the sizes near."""
        low, high = self.powers[1].min(), self.powers[1].max()
        _, slope, bend = parabolas.T
        with np.errstate(divide="ignore", invalid="ignore"):
            bottom = np.clip(-slope / (2 * bend), low, high)
        end = np.where(slope > 0, low, high)
        return self.middle + np.where(bend > 0, bottom, end)

    @cached_property
    def n_opt(self) -> float:
        return float(np.exp(self.optimum(self.parabola[None])[0]))

    @cached_property
    def at_edge(self) -> str | None:
        """`small` or `large` where the minimum is at that end or beyond, else None."""
        lowest = int(self.medians.argmin())
        near = self.n[self.near]
        if lowest == 0 or self.n_opt <= near.min() * (1 + 1e-9):
            return "small"
        if lowest == len(self.sizes) - 1 or self.n_opt >= near.max() * (1 - 1e-9):
            return "large"
        return None

    @property
    def too_deep(self) -> bool:
        """Whether the parabola's minimum lies far under every measured loss."""
        return bool(self.predict(self.n_opt) < 0.9 * self.medians.min())

    @property
    def has_minimum(self) -> bool:
        """Whether the laws may use this profile."""
        return not (self.opens_downward or self.at_edge or self.too_deep)

    def predict(self, n) -> np.ndarray:
        """The loss by the parabola, for sizes n."""
        log_n = np.log(n) - self.middle
        return self.parabola @ np.stack([np.ones_like(log_n), log_n, log_n**2])

    def tokens(self, log_n: np.ndarray) -> np.ndarray:
        """ln D of a model of size ln N at this budget: a line through the runs near."""
        d = np.log(self.d[self.near])
        slope, level = d @ np.linalg.pinv(self.powers[1::-1])
        return level + slope * (log_n - self.middle)

    @cached_property
    def spline_optimum(self) -> tuple[float, float]:
        """N and the loss at the minimum of the natural cubic spline of the medians."""
        knots = np.log(self.sizes)
        line = np.linspace(knots[0], knots[-1], 2001)
        curve = natural_spline(knots, self.medians, line)
        lowest = curve.argmin()
        return float(np.exp(line[lowest])), float(curve[lowest])

    def _medians(self, values: np.ndarray) -> np.ndarray:
        places = range(self.place.max() + 1)
        return np.array([np.median(values[self.place == place]) for place in places])


def natural_spline(knots: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The cubic spline through (knots, y), straight at both ends, at places x between.

    Its second derivatives m solve h₀m₀ + 2(h₀ + h₁)m₁ + h₁m₂ = 6·(change of slope).
    """
    gap = np.diff(knots)
    slope = np.diff(y) / gap
    bend = np.zeros(len(knots))
    inside = len(knots) - 2
    system = np.zeros((inside, inside))
    at = np.arange(inside)
    system[at, at] = 2 * (gap[:-1] + gap[1:])
    system[at[1:], at[:-1]] = system[at[:-1], at[1:]] = gap[1:-1]
    bend[1:-1] = np.linalg.solve(system, 6 * np.diff(slope))

    left = np.clip(np.searchsorted(knots, x) - 1, 0, inside)
    h = gap[left]
    from_left, to_right = x - knots[left], knots[left + 1] - x
    cubic = (bend[left] * to_right**3 + bend[left + 1] * from_left**3) / (6 * h)
    line = (y[left] / h - bend[left] * h / 6) * to_right
    line += (y[left + 1] / h - bend[left + 1] * h / 6) * from_left
    return cubic + line
