"""A law with the points it was fitted to: what it says, how surely, how far."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from minillm.errors import UsageError
from minillm.scaling.curve import Form, values
from minillm.scaling.intervals import Resamples
from minillm.scaling.objective import DELTAS, Problem
from minillm.scaling.optimum import minimise


@dataclass(frozen=True)
class LawFit:
    """A law with the points it was fitted to.

    x: (variables, n); y: (n,). theta: E, ln A, alpha, ln B, beta.
    excluded: [{"row": counted from 1, "reason": text}]. warnings: one sentence each.
    """

    form: Form
    y_name: str
    loss: str
    x: np.ndarray
    y: np.ndarray
    sigma: np.ndarray | None
    theta: np.ndarray
    converged: bool
    resamples: Resamples | None = None
    bootstrap: int = 0
    excluded: list[dict] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def variables(self) -> tuple[str, ...]:
        return self.form.variables

    @property
    def n(self) -> int:
        return len(self.y)

    @property
    def law(self) -> str:
        """The formula, e.g. `loss = E + A·N^(−alpha)`."""
        return self.form.formula(self.y_name)

    @cached_property
    def parameters(self) -> dict[str, float]:
        """The unknowns by name: E, A, alpha, and with two variables B, beta."""
        natural = self.form.natural(self.theta[None])[0]
        return dict(zip(self.form.unknowns, map(float, natural), strict=True))

    @cached_property
    def interval95(self) -> dict[str, list[float]]:
        """The 95 % interval [low, high] of every unknown."""
        return self.resamples.interval95()

    @cached_property
    def standard_errors(self) -> dict[str, float]:
        """The standard error of every unknown; {} where no bootstrap was asked for."""
        return self.resamples.standard_errors() if self.bootstrap else {}

    @cached_property
    def objective(self) -> float:
        """The sum over points: of huber(r) with δ = 1e-3, of |r| (l1), of r² (lsq)."""
        size = np.abs(self._residuals)
        if self.loss == "huber":
            near = np.minimum(size, DELTAS["huber"][0])
            return float((near * (size - near / 2)).sum())
        return float((size if self.loss == "l1" else size**2).sum())

    @cached_property
    def aicc(self) -> float | None:
        """Akaike's criterion for few points, normal errors; None for p + 2 points.

        n·ln(RSS/n) + 2k + 2k(k + 1)/(n − k − 1), where k counts the unknowns and the
        noise level (Hurvich and Tsai 1989). Compare it within one set of points only.
        """
        k = len(self.form.unknowns) + 1
        if self.n <= k + 1:
            return None
        square = max(float((self._residuals**2).mean()), np.finfo(float).eps ** 2)
        few = 2 * k * (k + 1) / (self.n - k - 1)
        return float(self.n * np.log(square) + 2 * k + few)

    @cached_property
    def without_floor(self) -> "LawFit | None":
        """The pure power law y = A·x^(−alpha) of the same points, without intervals."""
        if not self.form.floor or self.form.ceiling:
            return None
        return solve(replace(self, form=replace(self.form, floor=False)))

    @cached_property
    def leave_largest_out(self) -> float | None:
        """|predicted/measured − 1| of the largest run, by the law of all the others.

        The median is measured where several runs are the largest. None where the rest
        is too little for a law.
        """
        size = np.log(self.x).sum(0)
        rest = size < size.max()
        if too_few(self.form, self.x[:, rest]):
            return None
        sigma = None if self.sigma is None else self.sigma[rest]
        smaller = replace(self, x=self.x[:, rest], y=self.y[rest], sigma=sigma)
        largest = self.x[:, ~rest][:, 0]
        measured = float(np.median(self.y[~rest]))
        return abs(solve(smaller).predict(*largest) / measured - 1)

    @property
    def floor_is_distinguishable(self) -> bool:
        """Whether the 95 % interval of E stays clear of 0."""
        return self.interval95["E"][0] > 1e-3 * self.y.min()

    @property
    def floor_verdict(self) -> str:
        """Whether the data show a floor, in a sentence a student can quote."""
        low, high = self.interval95["E"]
        known = "is" if self.floor_is_distinguishable else "is not"
        verdict = (
            f"the floor E {known} distinguishable from 0 "
            f"(95 % interval {low:.4g} to {high:.4g}"
        )
        if self.aicc is not None:
            gain = self.without_floor.aicc - self.aicc
            side = "below" if gain > 0 else "above"
            verdict += f"; AICc {abs(gain):.1f} {side} the pure power law's"
        return f"{verdict})"

    def predict(self, *x):
        """y by the law, for one number or array per variable."""
        x = _broadcast(self.form, x)
        found = values(self.form, self.theta[None], np.log(x.reshape(len(x), -1)))
        return _shaped(found[0], x)

    def band(self, *x):
        """The ends (low, high) of the curve's 95 % band, as `predict`.

        It holds the curve, not a new run, which has its own noise besides.
        """
        x = _broadcast(self.form, x)
        low, high = self.resamples.band(np.log(x.reshape(len(x), -1)))
        return _shaped(low, x), _shaped(high, x)

    def to_json(self) -> dict:
        """What `minillm fit --json` prints."""
        return {
            "law": self.law,
            "parameters": self.parameters,
            "standard_errors": self.standard_errors,
            "interval95": self.interval95,
            "objective": self.objective,
            "converged": self.converged,
            "aicc": self.aicc,
            "leave_largest_out": self.leave_largest_out,
            "n": self.n,
            "excluded": self.excluded,
            "warnings": self.warnings,
        }

    def as_power(self) -> dict:
        """The same law written y = a·xⁿ + b: a, n, b and their `interval95`."""
        sign = self.form.sign
        low, high = self.interval95["alpha"]
        amplitude = sorted(sign * end for end in self.interval95["A"])
        return {
            "a": sign * self.parameters["A"],
            "n": -self.parameters["alpha"],
            "b": self.parameters.get("E", 0.0),
            "interval95": {
                "a": amplitude,
                "n": [-high, -low],
                "b": self.interval95.get("E", [0.0, 0.0]),
            },
        }

    @property
    def problem(self) -> Problem:
        return Problem(
            self.form, np.log(self.x), self.y[None], np.ones((1, self.n)), self.sigma
        )

    @property
    def _residuals(self) -> np.ndarray:
        return self.problem.residuals(self.theta[None])[0]


def solve(law: LawFit) -> LawFit:
    """The same points with the best theta."""
    theta, converged = minimise(law.problem, law.loss)
    return replace(law, theta=theta, converged=converged)


def too_few(form: Form, x: np.ndarray) -> bool:
    """Whether the different points are fewer than the unknowns + 1."""
    return np.unique(x, axis=1).shape[1] <= len(form.unknowns)


def _broadcast(form: Form, x: tuple) -> np.ndarray:
    if len(x) != len(form.variables):
        names = ", ".join(form.variables)
        raise UsageError(f"the law has {len(form.variables)} variables: give {names}")
    return np.stack(np.broadcast_arrays(*[np.asarray(v, float) for v in x]))


def _shaped(found: np.ndarray, x: np.ndarray):
    return found.reshape(x.shape[1:]) if x.ndim > 1 else float(found[0])
