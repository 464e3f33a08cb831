"""isoFLOP profiles: the best size of each compute budget, and the laws it follows.

    found = fit_isoflop("runs.csv")           # columns N, loss, and D or C or both
    found.laws["N_opt"]                       # N_opt = a·Cⁿ

The intervals are a parametric bootstrap: new noise about the parabolas, with the level
of all losses together (n − 3 degrees of freedom for each parabola), relative to the
loss. Where the optima scatter about their power law more than that explains, the
intervals of the law are widened by as much.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from minillm.errors import UsageError, option
from minillm.laws.bootstrap import middle
from minillm.laws.fitting import fit
from minillm.laws.isoflop_budgets import (
    derive,
    flops_warnings,
    given_columns,
    same_budget,
)
from minillm.laws.isoflop_profile import AROUND_MINIMUM, FEWEST_SIZES, Profile
from minillm.laws.isoflop_warnings import isoflop_warnings
from minillm.laws.law import LawFit
from minillm.laws.runs_table import Table, as_table
from minillm.laws.sweep import best_of_each, swept


@dataclass(frozen=True)
class IsoFlop:
    """The profiles of a table, the smallest budget first, and their laws.

    names: the columns of N, D, C and the loss. bootstrap: the number of resamples.
    excluded: [{"row": counted from 1, "line": of the file, "reason": text}].
    table_warnings: warnings about the table. notes: how it was read.
    derived: the formula of the one of N, D and C that the table lacks.
    """

    profiles: list[Profile]
    names: dict[str, str]
    bootstrap: int
    seed: int
    excluded: list[dict]
    table_warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    derived: str | None = None

    @cached_property
    def used(self) -> list[Profile]:
        """The profiles with a minimum inside, to which the laws are fitted."""
        return [profile for profile in self.profiles if profile.has_minimum]

    @cached_property
    def laws(self) -> dict[str, dict]:
        """N_opt and D_opt as y = a·Cⁿ, and N_opt by the splines; {} under two budgets.

        {"a", "n", "interval95": {"a", "n"}}: the intervals None where the runs do not
        show their noise, and for the splines.
        """
        if len(self.used) < 2:
            return {}
        found = {
            "N_opt": self._law(*self._optima()),
            "D_opt": self._law(*self._optima(tokens=True)),
        }
        spline = np.log([p.spline_optimum[0] for p in self.used])
        return {**found, "N_opt_spline": self._law(spline, None)}

    def band(self, name: str, flops: np.ndarray):
        """The 95 % band (low, high) of N_opt's or D_opt's law, or None."""
        if self.noise is None or len(self.used) < 2:
            return None
        lines = self._lines(*self._optima(tokens=name == "D_opt"))
        low, high = middle(lines[:, :1] + lines[:, 1:] * self._budget(flops))
        return np.exp(low), np.exp(high)

    @cached_property
    def envelope(self) -> LawFit | None:
        """The least loss for every budget, as a law; None under three budgets.

        With a floor from four budgets on.
        """
        if len(self.used) < 3:
            return None
        losses = [float(p.predict(p.n_opt)) for p in self.used]
        columns = {"C": [p.flops for p in self.used], self.names["loss"]: losses}
        return fit(
            columns,
            "C",
            self.names["loss"],
            loss="lsq",
            floor=len(self.used) > 3,
            seed=self.seed,
        )

    @cached_property
    def budgets(self) -> list[dict]:
        """A record of each budget."""
        return [self._budget_record(profile) for profile in self.profiles]

    @cached_property
    def warnings(self) -> list[str]:
        """Warnings about the table, the profiles and the laws, one sentence each."""
        return [*self.table_warnings, *isoflop_warnings(self)]

    def to_json(self) -> dict:
        """The record that `minillm isoflop --json` prints."""
        return {
            "budgets": self.budgets,
            "laws": self.laws,
            "envelope": self.envelope.to_json() if self.envelope else None,
            "intervals": "new noise about the parabolas, widened by the law's scatter",
            "noise": self.noise,
            "derived": self.derived,
            "n": sum(len(p.n) for p in self.profiles),
            "excluded": self.excluded,
            "warnings": self.warnings,
        }

    @cached_property
    def _degrees(self) -> int:
        """The degrees of freedom of the noise: losses beyond three a parabola."""
        return sum(int(p.near.sum()) - 3 for p in self._upward)

    @cached_property
    def _upward(self) -> list[Profile]:
        return [p for p in self.profiles if not (p.opens_downward or p.too_deep)]

    @cached_property
    def noise(self) -> float | None:
        """The standard deviation of a loss about its parabola, relative to the loss."""
        if self._degrees <= 0:
            return None
        square = sum(
            float(((p.predict(p.n[p.near]) / p.loss[p.near] - 1) ** 2).sum())
            for p in self._upward
        )
        return (square / self._degrees) ** 0.5

    @cached_property
    def _spread(self) -> np.ndarray:
        """The factor of each resample's noise, whose level is itself an estimate."""
        rng = np.random.default_rng((self.seed, 1))
        return np.sqrt(self._degrees / rng.chisquare(self._degrees, self.bootstrap))

    def resamples(self, profile: Profile) -> np.ndarray | None:
        """ln N_opt of a budget, by `bootstrap` draws of new noise; None without any."""
        if self.noise is None or profile not in self._upward:
            return None
        rng = np.random.default_rng((self.seed, 2, self.profiles.index(profile)))
        curve = profile.predict(profile.n[profile.near])
        wobble = rng.standard_normal((self.bootstrap, len(curve)))
        y = curve * (1 + self.noise * self._spread[:, None] * wobble)
        return profile.optimum(profile.parabolas(y))

    def scatter(self) -> float | None:
        """The scatter of the optima about their law, in units of their noise."""
        best, others = self._optima()
        if others is None or len(best) < 3:
            return None
        x = self._budget([p.flops for p in self.used])
        line = np.polynomial.Polynomial.fit(x, best, 1)
        deviation = (others - best) / self._spread[:, None]
        known = np.maximum(deviation.std(0), 1e-9)
        return float(np.sqrt((((best - line(x)) / known) ** 2).sum() / (len(x) - 2)))

    def _optima(self, tokens: bool = False):
        """ln N_opt (or ln D_opt) of the used budgets, and of their resamples."""
        best = np.log([p.n_opt for p in self.used])
        drawn = [self.resamples(p) for p in self.used]
        others = None if self.noise is None else np.stack(drawn, 1)
        if not tokens:
            return best, others
        best = np.array([p.tokens(n) for p, n in zip(self.used, best, strict=True)])
        if others is not None:
            columns = zip(self.used, others.T, strict=True)
            others = np.stack([p.tokens(n) for p, n in columns], 1)
        return best, others

    def _budget(self, flops) -> np.ndarray:
        """ln C, counted from the middle of the used budgets."""
        return np.log(flops) - np.log([p.flops for p in self.used]).mean()

    def _lines(self, best: np.ndarray, others: np.ndarray | None) -> np.ndarray:
        """(1 + resamples, 2): level and slope of ln y against ln C, the best first."""
        x = self._budget([p.flops for p in self.used])
        every = best[None] if others is None else np.vstack([best, others])
        lines = np.stack([every.mean(1), every @ x / (x @ x)], 1)
        if others is not None:
            widen = max(1.0, self.scatter() or 1.0)
            lines[1:] = lines[0] + widen * (lines[1:] - lines[0])
        return lines

    def _law(self, best: np.ndarray, others: np.ndarray | None) -> dict:
        lines = self._lines(best, others)
        # At C = 1.
        lines[:, 0] += lines[:, 1] * self._budget(1.0)
        a, n = np.exp(lines[:, 0]), lines[:, 1]
        interval = None
        if others is not None:
            interval = {
                "a": [float(end) for end in middle(a)],
                "n": [float(end) for end in middle(n)],
            }
        return {"a": float(a[0]), "n": float(n[0]), "b": 0.0, "interval95": interval}

    def _budget_record(self, profile: Profile) -> dict:
        drawn = self.resamples(profile)
        best = np.log(profile.n_opt)
        interval = None
        if drawn is not None:
            interval = [float(end) for end in np.exp(middle(np.append(best, drawn)))]
        n, loss = profile.spline_optimum
        d_opt = float(np.exp(profile.tokens(best)))
        return {
            "C": profile.flops,
            "runs": len(profile.n),
            "sizes": len(profile.sizes),
            "N_opt": profile.n_opt,
            "interval95": interval,
            "D_opt": d_opt,
            "tokens_per_parameter": d_opt / profile.n_opt,
            "loss": float(profile.predict(profile.n_opt)),
            "spline": {"N_opt": n, "loss": loss},
            "edge": profile.at_edge,
            "opens_downward": profile.opens_downward,
            "used": profile in self.used,
        }


def fit_isoflop(
    source: str | os.PathLike | Mapping | Table,
    *,
    n: str | None = None,
    d: str | None = None,
    c: str | None = None,
    y: str = "loss",
    best: bool = False,
    bootstrap: int = 1000,
    seed: int = 0,
) -> IsoFlop:
    """Find the best size of each compute budget in a table, and the laws they follow.

    source: a CSV file, or a mapping of columns. n, d, c, y: the columns of parameters,
    tokens, FLOPs and losses; the first three are `N`, `D` and `C` where the table has
    them, and two are enough: the third follows from C = 6·N·D. Budgets nearer than a
    factor of 1.2 are one. best: take, among rows with equal sizes, those of the best
    setting, see `sweep.py`. bootstrap: the number of resamples for the intervals.
    Raises UsageError for unknown names and where no budget has three sizes, DataError
    for a value that is no positive number.
    """
    if bootstrap < 2:
        raise UsageError(f"bootstrap {bootstrap}: a number of resamples, 2 or more")
    if seed < 0:
        raise UsageError(f"seed {seed}: a whole number, 0 or more")
    table = as_table(source)
    given = given_columns(table, {"N": n, "D": d, "C": c})
    rows, excluded = table.usable(y, list(given.values()))
    warnings = []
    if best:
        rows, others = best_of_each(table, list(given.values()), y, rows)
        excluded += others
    else:
        warnings += swept(table, list(given.values()), y, rows)
    loss = table.positive(y, rows)
    columns = {what: table.positive(name, rows) for what, name in given.items()}
    derived = derive(columns)
    size, tokens, flops = (columns[what] for what in "NDC")
    profiles = []
    for same in same_budget(flops):
        profile = Profile(
            float(np.exp(np.log(flops[same]).mean())),
            size[same],
            tokens[same],
            loss[same],
        )
        if len(profile.sizes) >= FEWEST_SIZES:
            profiles.append(profile)
            continue
        reason = f"C = {profile.flops:.3g} has {len(profile.sizes)} sizes, not 3"
        excluded += [{**table.numbered(row), "reason": reason} for row in rows[same]]
    if not profiles:
        raise UsageError(
            f"{table.source}: no compute budget has runs of {FEWEST_SIZES} sizes or "
            f"more: train {AROUND_MINIMUM} sizes at each budget, or fit "
            f"{option('x', 'N', 'D')}"
        )
    names = {"N": "N", "D": "D", "C": "C"} | given | {"loss": y}
    warnings += flops_warnings(flops, 6 * size * tokens, names)
    notes = table.reading_notes([*given.values(), y])
    return IsoFlop(profiles, names, bootstrap, seed, excluded, warnings, notes, derived)
