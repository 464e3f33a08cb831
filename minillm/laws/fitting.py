"""Fit a law to measured runs: `fit("runs.csv", x="N", y="loss")`, and `fit_power`.

The search for the numbers of the law is `search` in `minimise.py`.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral

import numpy as np

from minillm.errors import UsageError, option
from minillm.laws.bootstrap import resample
from minillm.laws.formula import AMPLITUDES, EXPONENTS, Form
from minillm.laws.huber import DELTAS
from minillm.laws.law import LawFit, solve, too_few
from minillm.laws.points import Points
from minillm.laws.runs_table import Table, as_table, left_out
from minillm.laws.sweep import best_of_each
from minillm.laws.warnings import warnings_about

# Numbers drawn by default: 1,000 resamples, fewer of a large table, which vary less.
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
    log_sigma: str | None = None,
    tied: bool = False,
    fix: Mapping[str, float] | None = None,
    group: str | None = None,
    best: bool = False,
) -> LawFit:
    """Fit y = E + A·x^(−alpha), or E + A/N^alpha + B/D^beta for x=("N", "D").

    source: a table's file (see `read_table`), or a mapping of columns; x and y: their
    names.
    loss: `huber` (δ = 1e-3) and `l1` of ln(curve) − ln(y), as Hoffmann et al. (2022)
    fit; `lsq` of curve − y, divided by the column `sigma` where given, or of
    ln(curve) − ln(y), divided by the column `log_sigma`.
    floor: False for y = A·x^(−alpha). ceiling: True for y = E − A·x^(−alpha).
    tied: True for beta = alpha in a law of two variables.
    fix: known parameters, such as {"E": 1.6}: they are not fitted, their intervals are
    closed and their standard errors 0.
    best: take, among rows with equal x, those with the least y (the largest accuracy),
    as where a size was trained at several learning rates; see `sweep.py`.
    group: the column that tells the runs apart where rows are branches of one trunk:
    they share noise, and the intervals allow for it (see `variance.py`).
    bootstrap: the number of resamples for intervals and standard errors (0: about 1,000
    for the intervals, no standard errors), which `bootstrap.py` draws.
    E, A and B are never negative; a growing y has a negative alpha. Rows whose y is not
    finite, or whose x is missing, 0, negative or infinite, are left out and named in
    `excluded`; `notes` name other cells that were not read as they stand.
    Raises UsageError for unknown names and for points that determine no law (too few,
    or two x that only change together), DataError for a value that is no positive
    number.
    """
    form = _form(x, floor, ceiling, tied, fix)
    points = _measured(source, form, y, loss, sigma, log_sigma, group, best)
    return _with_intervals(solve(points), bootstrap, seed)


def fit_power(
    source,
    x: str = "N",
    y: str = "seconds",
    *,
    loss: str = "huber",
    bootstrap: int = 0,
    seed: int = 0,
) -> LawFit:
    """Fit y = a·xⁿ + b to accuracy, seconds or cost; read it with `as_power()`.

    A y that rises and levels off is b − |a|·x^(−|n|): both signs of a are tried, and
    the better is taken. The rest is as in `fit`.
    """
    points = _measured(source, _form(x), y, loss)
    ceiling = replace(points, form=_form(x, ceiling=True))
    law = min(solve(points), solve(ceiling), key=lambda law: law.objective)
    return _with_intervals(law, bootstrap, seed)


def _measured(
    source,
    form: Form,
    y: str,
    loss: str,
    sigma: str | None = None,
    log_sigma: str | None = None,
    group: str | None = None,
    best: bool = False,
) -> Points:
    """The points of a table to fit a law to."""
    if loss not in DELTAS:
        raise UsageError(f"loss {loss!r}: choose one of {', '.join(DELTAS)}")
    divisor = sigma or log_sigma
    if divisor is not None and loss != "lsq":
        raise UsageError(
            f"sigma and log_sigma go with loss 'lsq', not {loss!r}: add "
            f"{option('loss', 'lsq')}"
        )
    if sigma and log_sigma:
        raise UsageError("sigma or log_sigma: a residual is divided by one of them")
    table = as_table(source)
    rows, excluded = table.usable(y, form.variables, group, divisor)
    if best:
        rows, others = best_of_each(table, form.variables, y, rows)
        excluded = sorted([*excluded, *others], key=lambda each: each["row"])
    x = np.stack([table.positive(name, rows) for name in form.variables])
    measured = table.positive(y, rows)
    try:
        _check_enough(table, form, x)
    except UsageError as error:
        gone = f" (left out: {left_out(excluded)})" if excluded else ""
        raise UsageError(f"{error}{gone}") from None
    _check_floor(table, form, y, measured)
    return Points(
        form=form,
        y_name=y,
        loss=loss,
        x=x,
        y=measured,
        sigma=table.positive(divisor, rows) if divisor else np.ones(len(rows)),
        in_logs=loss != "lsq" or log_sigma is not None,
        table=table,
        index=rows,
        run=table.groups(group, rows) if group else np.arange(len(rows)),
        excluded=excluded,
        notes=table.reading_notes([*form.variables, y, *filter(None, [divisor])]),
    )


def _with_intervals(law: LawFit, bootstrap: int, seed: int) -> LawFit:
    if not isinstance(bootstrap, Integral) or bootstrap < 0 or bootstrap == 1:
        raise UsageError(
            f"bootstrap {bootstrap}: a whole number of resamples, 0, 2 or more"
        )
    if not isinstance(seed, Integral) or seed < 0:
        raise UsageError(f"seed {seed}: a whole number, 0 or more")
    n = bootstrap or min(1000, max(100, LARGEST_DRAW // law.n))
    drawn = resample(law.problem, law.noise, law.theta, n, seed)
    law = replace(law, resamples=drawn, bootstrap=bootstrap)
    return replace(law, warnings=warnings_about(law))


def _form(
    x,
    floor: bool = True,
    ceiling: bool = False,
    tied: bool = False,
    fix: Mapping[str, float] | None = None,
) -> Form:
    variables = (x,) if isinstance(x, str) else tuple(x)
    if len(variables) not in (1, 2) or len(set(variables)) < len(variables):
        names = ", ".join(variables) or "none"
        raise UsageError(f"a law has one or two different variables x, not {names}")
    if ceiling and not floor:
        raise UsageError("ceiling needs E: it does not go with floor=False")
    if tied and len(variables) == 1:
        raise UsageError("tied is for a law of two variables: add a second x")
    form = Form(variables, floor, ceiling, tied)
    if fix is not None and not isinstance(fix, Mapping):
        raise UsageError(f"fix {fix!r}: a mapping is needed, such as {{'E': 1.6}}")
    fixed = tuple((name, float(value)) for name, value in (fix or {}).items())
    for name, value in fixed:
        _check_fixed(form, name, value)
    form = replace(form, fixed=fixed)
    if not form.unknowns:
        raise UsageError("fix: every parameter is known, nothing is left to fit")
    return form


def _check_fixed(form: Form, name: str, value: float) -> None:
    if name not in form.columns or name not in form.names:
        why = ", and beta is alpha" if name == "beta" and form.tied else ""
        known = ", ".join(form.unknowns)
        raise UsageError(f"fix {name}: this law has {known}{why}; fix one of these")
    if not np.isfinite(value):
        raise UsageError(f"fix {name}={value:g}: a finite number")
    if (name == "E" and value < 0) or (name in AMPLITUDES and value <= 0):
        least = "0 or more" if name == "E" else "more than 0"
        raise UsageError(f"fix {name}={value:g}: {name} is {least}")
    if name in EXPONENTS and (value == 0 or (form.ceiling and value < 0)):
        raise UsageError(f"fix {name}={value:g}: the term would not fall")


def _check_floor(table: Table, form: Form, y_name: str, y: np.ndarray) -> None:
    """Raises UsageError for a fixed E that all points lie beyond."""
    known = dict(form.fixed).get("E")
    if known is not None and (form.sign * (y - known) <= 0).all():
        side = "above" if form.ceiling else "below"
        raise UsageError(
            f"{table.source}: every {y_name} is {side} E = {known:g}, which no law of "
            "this form passes: fix another E"
        )


def _check_enough(table: Table, form: Form, x: np.ndarray) -> None:
    names = ", ".join(form.variables)
    terms = zip(AMPLITUDES, EXPONENTS, strict=True)
    for name, column, of_term in zip(form.variables, x, terms, strict=False):
        distinct = len(np.unique(column))
        least = 1 + sum(unknown in form.unknowns for unknown in of_term)
        if len(form.variables) > 1 and distinct < least:
            raise UsageError(
                f"{table.source}: {name} has {distinct} different values, and its "
                f"exponent needs {least}; add runs, or leave {name} out of x"
            )
    if too_few(form, x):
        raise UsageError(
            f"{table.source}: {np.unique(x, axis=1).shape[1]} different {names}, but "
            f"{len(form.unknowns)} unknowns ({', '.join(form.unknowns)}) need "
            f"{len(form.unknowns) + 1}; add runs at other {names}"
        )
    if len(form.variables) == 2 and not form.fixed and _one_line(x):
        raise UsageError(
            f"{table.source}: {form.variables[1]} is always the same power of "
            f"{form.variables[0]}, so their shares cannot be told apart; add runs at "
            f"other {names}, or fit {option('x', form.variables[0])} alone"
        )


def _one_line(x: np.ndarray) -> bool:
    """Whether two variables change together: ln x1 is a line in ln x0, within 1 %."""
    first, second = np.log(x)
    line = np.polynomial.Polynomial.fit(first, second, 1)
    return np.abs(line(first) - second).max() < 0.01
