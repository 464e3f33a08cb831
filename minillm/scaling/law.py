"""A law with the points it was fitted to: what it says, how surely, how far."""

from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import numpy as np

from minillm.errors import UsageError
from minillm.scaling.curve import AMPLITUDES, Form, values
from minillm.scaling.influence import leave_one_out, suspects
from minillm.scaling.intervals import Resamples
from minillm.scaling.misfit import DELTAS, Problem
from minillm.scaling.noise import Noise, noise_of
from minillm.scaling.optimum import minimise
from minillm.scaling.quantities import quantity_of
from minillm.scaling.rivals import criteria, criterion


@dataclass(frozen=True, kw_only=True)
class Points:
    """Measured points, with the form of law that is looked for and the loss to fit it
    by.

    x: (variables, n); y: (n,). rows: where they stand in the table, counted from 1;
    lines: in its file, None where there is none.
    sigma: (n,), what residuals are divided by, those of ln y where `in_logs`.
    run: (n,), which run each point is of, counted from 0.
    excluded: [{"row": counted from 1, "line": of the file, "reason": text}]. notes: how
    the table was read, one sentence each.
    """

    form: Form
    y_name: str
    loss: str
    x: np.ndarray
    y: np.ndarray
    sigma: np.ndarray
    in_logs: bool
    rows: np.ndarray
    run: np.ndarray
    lines: np.ndarray | None = None
    excluded: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def variables(self) -> tuple[str, ...]:
        return self.form.variables

    @property
    def n(self) -> int:
        return len(self.y)

    @property
    def n_runs(self) -> int:
        return len(np.unique(self.run))

    @property
    def problem(self) -> Problem:
        return Problem(
            self.form,
            np.log(self.x),
            self.y[None],
            np.ones((1, self.n)),
            self.sigma,
            self.in_logs,
        )


@dataclass(frozen=True, kw_only=True)
class LawFit(Points):
    """A law with the points it was fitted to.

    theta: E, ln A, alpha, ln B, beta. bootstrap: the resamples that were asked for.
    warnings: one sentence each.
    """

    theta: np.ndarray
    converged: bool
    resamples: Resamples | None = field(default=None, repr=False)
    bootstrap: int = 0
    warnings: list[str] = field(default_factory=list)

    @property
    def law(self) -> str:
        """The formula, e.g. `loss = E + A·N^(−alpha)`."""
        return self.form.formula(self.y_name)

    @cached_property
    def parameters(self) -> dict[str, float]:
        """By name: E, A, alpha, and with two variables B, beta."""
        natural = self.form.natural(self.theta[None])[0]
        return dict(zip(self.form.names, map(float, natural), strict=True))

    @cached_property
    def interval95(self) -> dict[str, list[float]]:
        """The 95 % interval [low, high] of every parameter."""
        return self.resamples.interval95()

    @cached_property
    def standard_errors(self) -> dict[str, float]:
        """Of every parameter; {} where no bootstrap was asked for."""
        return self.resamples.standard_errors() if self.bootstrap else {}

    @cached_property
    def correlations(self) -> dict[str, float]:
        """Of the estimates of A and alpha, as `A, alpha`, and of B and beta.

        Near 1, single errors of A and B say little: the curve's band is what is known.
        """
        return self.resamples.correlations()

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
        """Akaike's criterion for few points, see `rivals`; None for p + 2 points."""
        return criterion(self._residuals, len(self.form.unknowns))

    @cached_property
    def models(self) -> dict[str, float | None]:
        """The AICc of this law and of its rivals, by name; the least fits best."""
        return criteria(self.problem, self.loss, self.aicc)

    @cached_property
    def influence(self) -> list[dict]:
        """What leaving out each point changes, the most influential point first.

        {"row", "line" of a file, a value per variable, y, "change": {"E", "alpha",
        "beta"}}: the law without the point minus the law with it; None where no law is
        left. Of a large table, the points that change most.
        """
        points = suspects(self.problem, self.loss, self.theta)
        others = leave_one_out(self.problem, self.loss, self.theta, points)
        names = [name for name in self.form.unknowns if name not in AMPLITUDES]
        at = [self.form.unknowns.index(name) for name in names]
        change = (others - self.theta)[:, -len(self.form.unknowns) :][:, at]
        exponents = change[:, [name in self.form.exponents for name in names]]
        order = np.argsort(-np.nan_to_num(np.abs(exponents).max(1), nan=np.inf))
        return [
            {
                "row": int(self.rows[points[i]]),
                **({} if self.lines is None else {"line": int(self.lines[points[i]])}),
                **{
                    name: float(x[points[i]])
                    for name, x in zip(self.variables, self.x, strict=True)
                },
                self.y_name: float(self.y[points[i]]),
                "change": {
                    name: None if np.isnan(value) else float(value)
                    for name, value in zip(names, change[i], strict=True)
                },
            }
            for i in order
        ]

    @cached_property
    def without_floor(self) -> "LawFit | None":
        """The pure power law y = A·x^(−alpha) of the same points, without intervals."""
        if not self._may_have_floor:
            return None
        form = replace(self.form, floor=False)
        return solve(replace(self, form=form))

    @cached_property
    def leave_largest_out(self) -> float | None:
        """|predicted/measured − 1| of the largest run, by the law of all the others.

        The median is measured where several runs are the largest. None where the rest
        is too little for a law.
        """
        size = np.log(self.x).sum(0)
        largest_rows = size == size.max()
        rest = ~np.isin(self.run, self.run[largest_rows])
        if too_few(self.form, self.x[:, rest]):
            return None
        smaller = replace(
            self, x=self.x[:, rest], y=self.y[rest], sigma=self.sigma[rest]
        )
        largest = self.x[:, largest_rows][:, 0]
        measured = float(np.median(self.y[largest_rows]))
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
            "variables": [
                {"column": name, "quantity": quantity_of(name)}
                for name in self.variables
            ],
            "measured": {"column": self.y_name, "quantity": quantity_of(self.y_name)},
            "parameters": self.parameters,
            "standard_errors": self.standard_errors,
            "interval95": self.interval95,
            "objective": self.objective,
            "converged": self.converged,
            "aicc": self.aicc,
            "models": self.models,
            "floor": self.floor_verdict if self._may_have_floor else None,
            "correlations": self.correlations,
            "influence": self.influence,
            "leave_largest_out": self.leave_largest_out,
            "n": self.n,
            "runs": self.n_runs,
            "ranges": {
                name: [float(x.min()), float(x.max())]
                for name, x in zip(self.variables, self.x, strict=True)
            },
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
    def _may_have_floor(self) -> bool:
        return self.form.floor and not self.form.ceiling

    @cached_property
    def noise(self) -> Noise:
        """What the points of a run share, and what each has for itself."""
        return noise_of(self.problem, self.theta, self.run)

    @property
    def _residuals(self) -> np.ndarray:
        return self.problem.residuals(self.theta[None])[0]


def solve(points: Points) -> LawFit:
    """The best law through the points, without intervals."""
    theta, converged = minimise(points.problem, points.loss)
    those = {each.name: getattr(points, each.name) for each in fields(Points)}
    return LawFit(**those, theta=theta, converged=converged)


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
