"""A fitted law with its points: parameters, intervals, predictions, verdicts."""

import importlib
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import numpy as np

from minillm.errors import UsageError
from minillm.keyed import Keyed
from minillm.laws.aicc import aicc, aicc_of_rivals, penalty
from minillm.laws.bootstrap import Resamples
from minillm.laws.formula import COLUMNS, Form, values
from minillm.laws.influence import influence_of
from minillm.laws.minimise import Optimum, minimise
from minillm.laws.points import Points
from minillm.laws.quantities import quantity_of
from minillm.laws.variance import Noise, noise_of


@dataclass(frozen=True, kw_only=True)
class LawFit(Points):
    """A law with the points it was fitted to.

    optima: the best curves of the form, and of those that it contains. bootstrap: the
    number of resamples that were asked for. warnings: one sentence each.
    """

    optima: dict[Form, Optimum] = field(repr=False)
    resamples: Resamples | None = field(default=None, repr=False)
    bootstrap: int = 0
    warnings: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> float:
        """The parameters: `law.E`, `law.alpha`."""
        if name not in COLUMNS:  # asked while it is copied, too
            raise AttributeError(f"a law has no {name!r}")
        if name not in self.parameters:
            raise AttributeError(f"this law has no {name}: {self.law}")
        return self.parameters[name]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.parameters})

    def __repr__(self) -> str:
        found = ", ".join(f"{name} {self._told(name)}" for name in self.parameters)
        return f"LawFit({self.law}: {found}; {self.n} points)"

    def _told(self, name: str) -> str:
        value = f"{self.parameters[name]:.4g}"
        if self.resamples is None:
            return value
        low, high = self.interval95[name]
        return f"{value} ({low:.4g} to {high:.4g})"

    def _repr_html_(self) -> str | None:
        if self.resamples is None:  # it has no interval to show
            return None
        return importlib.import_module("minillm.laws.law_page").law_html(self)

    def plot(self, **options):
        """A matplotlib Figure of the law, which a notebook shows: see `draw_law`."""
        # By name: what draws laws imports this file.
        figure = importlib.import_module("minillm.laws.law_figure")
        return figure.draw_law(self, **options)

    @property
    def theta(self) -> np.ndarray:
        """E, ln A, alpha, ln B, beta."""
        return self.optima[self.form][0]

    @property
    def converged(self) -> bool:
        return self.optima[self.form][1]

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
        """The standard error of every parameter; {} without `bootstrap`."""
        return self.resamples.standard_errors() if self.bootstrap else {}

    @cached_property
    def correlations(self) -> dict[str, float]:
        """Correlations of the estimates of A and alpha, and of B and beta.

        {"A, alpha": r, …}. Near 1, the curve's band is known better than A or B.
        """
        return self.resamples.correlations()

    @cached_property
    def objective(self) -> float:
        """The sum over points: of huber(r) with δ = 1e-3, of |r| (l1), of r² (lsq)."""
        squares = 2 if self.loss == "lsq" else 1
        problem = self.problem
        return squares * problem.total(problem.residuals(self.theta[None]))

    @cached_property
    def aicc(self) -> float | None:
        """Akaike's criterion for few points, see `aicc.py`; None for p + 2 points."""
        return aicc(self.problem, self.theta)

    @cached_property
    def models(self) -> dict[str, float | None]:
        """The AICc of this law and of its rivals, by name; the least fits best."""
        return aicc_of_rivals(self.problem, self.optima)

    @cached_property
    def influence(self) -> list[dict]:
        """The change of the law without each point, the most influential point first.

        {"row", "line" of a file, a value per variable, y, "change": {"E", "alpha",
        "beta"}}: the law without the point minus the law with it; None where no law is
        left. For a large table, the points that change most.
        """
        return influence_of(self, self.theta)

    @cached_property
    def without_floor(self) -> "LawFit | None":
        """The pure power law y = A·x^(−alpha) of the same points, without intervals."""
        if self.form.ceiling or not self.form.floor:
            return None
        fixed = tuple(each for each in self.form.fixed if each[0] != "E")
        form = replace(self.form, floor=False, fixed=fixed)
        return solve(replace(self, form=form), self.optima)

    @cached_property
    def leave_largest_out(self) -> float | None:
        """|predicted/measured − 1| of the largest run, by the law of all the others.

        Several largest runs are measured by their median. None where the others are too
        few for a law.
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
        """Whether the 95 % interval of E excludes 0."""
        return self.interval95["E"][0] > 1e-3 * self.y.min()

    @property
    def floor_verdict(self) -> str:
        """Whether the data show a floor, in a sentence a student can quote."""
        low, high = self.interval95["E"]
        known = "is" if self.floor_is_distinguishable else "is not"
        verdict = f"the floor E {known} distinguishable from 0"
        interval = f"95 % interval {low:.4g} to {high:.4g}"
        if self.aicc is None:
            return f"{verdict} ({interval})"
        gain = self.without_floor.aicc - self.aicc
        side = "below" if gain > 0 else "above"
        compared = f"{abs(gain):.1f} {side} the pure power law's"
        if (gain > 0) == self.floor_is_distinguishable:
            return f"{verdict} ({interval}; AICc {compared})"
        criterion = "AICc"
        if self.floor_is_distinguishable:
            k = len(self.form.unknowns)
            price = penalty(self.n, k) - penalty(self.n, k - 1)
            criterion += f", which takes {price:.1f} for E at {self.n} points,"
        return f"{verdict} ({interval}), although {criterion} is {compared}"

    def predict(self, *x):
        """y by the law, for one number or array per variable."""
        x = _broadcast(self.form, x)
        found = values(self.form, self.theta[None], np.log(x.reshape(len(x), -1)))
        return _shaped(found[0], x)

    @property
    def off(self) -> np.ndarray:
        """The distance of each point from the curve, relative to it: (n,), above > 0.

        (An error of a prediction is relative to the measured value.)
        """
        return self.y / self.predict(*self.x) - 1

    def band(self, *x):
        """The ends (low, high) of the curve's 95 % band, for x as in `predict`.

        The band is that of the curve; a new run has its own noise besides.
        """
        x = _broadcast(self.form, x)
        low, high = self.resamples.band(np.log(x.reshape(len(x), -1)))
        return _shaped(low, x), _shaped(high, x)

    def to_json(self) -> Keyed:
        """The record that `minillm fit --json` prints; its keys are attributes too."""
        found = {
            "law": self.law,
            "variables": [
                {"column": name, "quantity": quantity_of(name)}
                for name in self.variables
            ],
            "measured": {"column": self.y_name, "quantity": quantity_of(self.y_name)},
            "parameters": self.parameters,
            "fixed": dict(self.form.fixed),
            "standard_errors": self.standard_errors,
            "interval95": self.interval95,
            "objective": self.objective,
            "converged": self.converged,
            "aicc": self.aicc,
            "models": self.models,
            "floor": self.floor_verdict if self.form.seeks_floor else None,
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
        return Keyed(found)

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

    @cached_property
    def noise(self) -> Noise:
        """The noise that the points of a run share, and that of each point alone."""
        robust = self.loss != "lsq"
        return noise_of(self.problem, self.theta, self.run, robust)


def solve(points: Points, optima: dict[Form, Optimum] | None = None) -> LawFit:
    """The best law through the points, without intervals.

    optima: the known ones of the same points.
    """
    optima = dict(optima or {})
    if points.form not in optima:
        minimise(points.problem, optima)
    those = {each.name: getattr(points, each.name) for each in fields(Points)}
    return LawFit(**those, optima=optima)


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
