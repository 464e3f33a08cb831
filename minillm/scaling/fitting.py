"""Fit a law to measured runs: `fit("runs.csv", x="N", y="loss")` and its relatives."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from minillm.errors import DataError, UsageError
from minillm.scaling.curve import Form
from minillm.scaling.doubts import doubts
from minillm.scaling.intervals import resample
from minillm.scaling.law import LawFit, solve, too_few
from minillm.scaling.objective import DELTAS
from minillm.scaling.table import Table, as_table

# Without a bootstrap: 1,000 resamples, fewer of a large table, where they vary less.
LARGEST_DRAW = 1_000_000


def fit(
    source: str | os.PathLike | Mapping | Table,
    x: str | Sequence[str] = "N",
    y: str = "loss",
    *,
    loss: str = "huber",
    floor: bool = True,
    ceiling: bool = False,
    bootstrap: int = 0,
    seed: int = 0,
    sigma: str | None = None,
) -> LawFit:
    """Fit y = E + A·x^(−alpha), or E + A/N^alpha + B/D^beta for x=("N", "D").

    source: a CSV file, or a mapping of columns; x and y: their names.
    loss: `huber` (δ = 1e-3) and `l1` of ln(curve) − ln(y), as Hoffmann et al. (2022)
    fit; `lsq` of curve − y, divided by the column `sigma` where given.
    floor: False for y = A·x^(−alpha). ceiling: True for y = E − A·x^(−alpha).
    bootstrap: how many resamples the intervals are made of, and the standard errors,
    which come with it alone (0: about 1,000 for the intervals).
    E, A and B are never negative; a growing y has a negative alpha. Rows whose y is not
    finite are left out and named in `excluded`.
    Raises UsageError for unknown names and for too few points, DataError for a value
    that is no positive number.
    """
    form = _form(x, floor, ceiling)
    if loss not in DELTAS:
        raise UsageError(f"loss {loss!r}: choose one of {', '.join(DELTAS)}")
    if sigma is not None and loss != "lsq":
        raise UsageError(f"sigma goes with loss 'lsq', not {loss!r}")
    if bootstrap < 0:
        raise UsageError(f"bootstrap {bootstrap}: a number of resamples, 0 or more")
    table = as_table(source)
    rows, excluded = _usable(table, y)
    points = np.stack([_positive(table, name, rows) for name in form.variables])
    measured = _positive(table, y, rows)
    if loss != "lsq":
        scale = None
    elif sigma is None:
        scale = np.ones(len(measured))
    else:
        scale = _positive(table, sigma, rows)
    _check_enough(table, form, points)
    fitted = solve(
        LawFit(
            form=form,
            y_name=y,
            loss=loss,
            x=points,
            y=measured,
            sigma=scale,
            theta=np.zeros(form.n_columns),
            converged=False,
            bootstrap=bootstrap,
            excluded=excluded,
        )
    )
    n_resamples = bootstrap or min(1000, max(100, LARGEST_DRAW // fitted.n))
    curves = resample(fitted.problem, loss, fitted.theta, n_resamples, seed)
    fitted = replace(fitted, resamples=curves)
    return replace(fitted, warnings=doubts(fitted, table, rows))


def fit_power(source, x: str = "N", y: str = "seconds", **settings) -> LawFit:
    """Fit y = a·xⁿ + b to accuracy, seconds or cost; read it with `as_power()`.

    What rises and levels off is b − |a|·x^(−|n|); both signs of a are tried, the better
    is taken. `settings` are those of `fit`.
    """
    rising_or_falling = fit(source, x, y, **settings)
    levelling_off = fit(source, x, y, ceiling=True, **settings)
    return min(rising_or_falling, levelling_off, key=lambda law: law.objective)


def _form(x, floor: bool, ceiling: bool) -> Form:
    variables = (x,) if isinstance(x, str) else tuple(x)
    if len(variables) not in (1, 2) or len(set(variables)) < len(variables):
        names = ", ".join(variables) or "none"
        raise UsageError(f"a law has one or two different variables x, not {names}")
    if ceiling and not floor:
        raise UsageError("ceiling needs E: it does not go with floor=False")
    return Form(variables, floor, ceiling)


def _usable(table: Table, y: str) -> tuple[np.ndarray, list[dict]]:
    """The rows (counted from 0) with a finite y, and the others with the reason."""
    measured = table.numbers(y)
    finite = np.isfinite(measured)
    if not finite.any():
        raise DataError(f"{table.source}: no row has a finite {y}")
    excluded = [
        {"row": int(row) + 1, "reason": f"{y} is {measured[row]}: missing or diverged"}
        for row in np.flatnonzero(~finite)
    ]
    return np.flatnonzero(finite), excluded


def _positive(table: Table, name: str, rows: np.ndarray) -> np.ndarray:
    numbers = table.numbers(name)[rows]
    for row, number in zip(rows, numbers, strict=True):
        if not (np.isfinite(number) and number > 0):
            raise DataError(
                f"{table.place(row)}: {name} is {number:g}; "
                "a power law needs positive, finite numbers: correct or remove it"
            )
    return numbers


def _check_enough(table: Table, form: Form, x: np.ndarray) -> None:
    names = ", ".join(form.variables)
    for name, column in zip(form.variables, x, strict=True):
        distinct = len(np.unique(column))
        if len(form.variables) > 1 and distinct < 3:
            raise UsageError(
                f"{table.source}: {name} has {distinct} different values, and its "
                f"exponent needs 3; add runs, or leave {name} out of x"
            )
    if too_few(form, x):
        raise UsageError(
            f"{table.source}: {np.unique(x, axis=1).shape[1]} different {names}, but "
            f"{len(form.unknowns)} unknowns ({', '.join(form.unknowns)}) need "
            f"{len(form.unknowns) + 1}; add runs at other {names}"
        )
