"""What a fitted law cannot promise, and which run would tell: one sentence each."""

import numpy as np

from minillm.scaling.curve import EXPONENTS
from minillm.scaling.optimum import bounds
from minillm.scaling.table import Table

TOKENS = ("d", "tokens", "d_tokens", "train_tokens")
KEPT_EQUAL = ("batch", "batch_size", "epochs", "context")


def doubts(fit, table: Table, rows: np.ndarray) -> list[str]:
    """All warnings about a LawFit of these rows of a table, the gravest first."""
    found = [
        *_optimum(fit),
        *_rising_loss(fit),
        *_residuals(fit),
        *_narrow_range(fit),
        *_exponents(fit),
        *_floor(fit),
        *_largest(fit),
        *_tokens(fit, table, rows),
        *_other_columns(fit, table, rows),
    ]
    return found


def _optimum(fit):
    if not fit.converged:
        yield (
            "the fit did not converge: these parameters are not the best ones; "
            "the data may not follow this law"
        )
    lost = fit.resamples.failed
    if lost > 0.05 * fit.resamples.n:
        yield (
            f"{lost} of {fit.resamples.n} resamples did not converge: "
            "do not trust the intervals; add runs"
        )


def _rising_loss(fit):
    if not _is_loss(fit) or len(fit.variables) > 1:
        return
    name = fit.variables[0]
    sizes = np.unique(fit.x[0])
    medians = np.array([np.median(fit.y[fit.x[0] == size]) for size in sizes])
    # Neighbours of nearly one size may differ by their seeds alone.
    below = np.searchsorted(sizes, sizes / 1.2, side="right") - 1
    rise = np.where(below >= 0, medians / medians[below] - 1, 0)
    worst = int(np.argmax(rise))
    if rise[worst] > 0.002:
        start = below[worst]
        yield (
            f"{fit.y_name} rises from {medians[start]:.4g} to {medians[worst]:.4g} "
            f"between {name} = {sizes[start]:.4g} and {sizes[worst]:.4g}: "
            "train the larger one again with a lower rate or more tokens"
        )


def _residuals(fit):
    error = np.abs(fit.predict(*fit.x) / fit.y - 1)
    worst = int(np.argmax(error))
    if error[worst] > 0.03:
        place = ", ".join(
            f"{name} = {x[worst]:.4g}"
            for name, x in zip(fit.variables, fit.x, strict=True)
        )
        yield (
            f"{(error > 0.03).sum()} of {fit.n} points lie over 3 % from the curve, "
            f"the worst {100 * error[worst]:.1f} % (at {place}): repeat those runs "
            "with other seeds, or look for what differs in them"
        )


def _narrow_range(fit):
    for name, x in zip(fit.variables, fit.x, strict=True):
        factor = x.max() / x.min()
        if factor < 10:
            yield (
                f"{name} spans a factor of {factor:.2g}; under 10 many laws fit alike: "
                f"add runs at smaller or larger {name}"
            )


def _exponents(fit):
    least, most = (ends[2] for ends in bounds(fit.form))
    for name in EXPONENTS[: len(fit.variables)]:
        low, high = fit.interval95[name]
        interval = f"95 % interval {low:.3g} to {high:.3g}"
        # Without noise the interval is as narrow as rounding.
        if low - 1e-6 <= max(0, least) <= high + 1e-6:
            yield (
                f"{name} is not distinguishable from 0 ({interval}): the data show no "
                "power law; widen the range or add seeds"
            )
        elif low <= least or high >= most:
            yield (
                f"{name} is open at one end ({interval}, where the search ends): "
                "widen the range or add seeds"
            )


def _floor(fit):
    if fit.form.floor and not fit.form.ceiling and not fit.floor_is_distinguishable:
        yield f"{fit.floor_verdict}: add larger runs to see where the curve bends"


def _largest(fit):
    error = fit.leave_largest_out
    if error is not None and error > 0.03:
        yield (
            f"the largest run, left out, is predicted {100 * error:.1f} % off: "
            "do not trust the curve beyond the data"
        )


def _tokens(fit, table, rows):
    name = _column(table, TOKENS, fit)
    if name is None or not _is_loss(fit) or len(fit.variables) > 1:
        return
    tokens = np.unique(table.numbers(name)[rows])
    if len(tokens) == 1 and fit.form.floor:
        yield (
            f"every run has {name} = {tokens[0]:.4g}: E is the floor L∞(D) of a model "
            f"of any size after so many tokens, not the entropy of the text; "
            f"add runs at two more {name} and fit both variables"
        )
    elif len(tokens) > 1:
        yield (
            f"{name} changes from {tokens[0]:.4g} to {tokens[-1]:.4g} along the "
            f"series: fit both variables (--x {fit.variables[0]} --x {name})"
        )


def _other_columns(fit, table, rows):
    for name in KEPT_EQUAL:
        found = _column(table, (name,), fit)
        if found is None:
            continue
        numbers = np.unique(table.numbers(found)[rows])
        if len(numbers) > 1:
            yield (
                f"{found} changes from {numbers[0]:g} to {numbers[-1]:g} along the "
                "series and is part of what the curve shows: keep it equal"
            )


def _is_loss(fit) -> bool:
    return "loss" in fit.y_name.lower()


def _column(table: Table, names: tuple[str, ...], fit) -> str | None:
    """The table's column of one of these names, if the law does not use it already."""
    for column in table.columns:
        if column.lower() in names and column not in fit.variables:
            return column
    return None
