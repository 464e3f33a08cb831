"""Points: what was measured, the form of law to fit to it, and the loss to minimise."""

from dataclasses import dataclass, field

import numpy as np

from minillm.laws.formula import Form
from minillm.laws.huber import DELTAS, Problem
from minillm.laws.runs_table import Table


@dataclass(frozen=True, kw_only=True)
class Points:
    """Measured points, the form of law to fit to them, and the loss to minimise.

    x: (variables, n); y: (n,). index: (n,), their rows in the table, counted from 0.
    sigma: (n,), the divisors of the residuals, those of ln y where `in_logs`.
    run: (n,), the number of each point's run, from 0.
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
    table: Table = field(repr=False)
    index: np.ndarray
    run: np.ndarray
    excluded: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def variables(self) -> tuple[str, ...]:
        return self.form.variables

    @property
    def rows(self) -> np.ndarray:
        """The points' rows in the table, counted from 1."""
        return self.index + 1

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
            self.loss,
            DELTAS[self.loss][0],
        )
