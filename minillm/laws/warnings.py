"""Warnings about a fitted law, with a way out: one sentence each."""

import numpy as np

from minillm.errors import option
from minillm.laws.aicc import EXPONENTIAL
from minillm.laws.minimise import bounds
from minillm.laws.quantities import falls
from minillm.laws.runs_table import place
from minillm.laws.sweep import medians, swept
from minillm.laws.table_warnings import (
    copies,
    left_out_variable,
    other_columns,
    shared_noise,
)

FEW_RESAMPLES = 20  # with fewer, a 95 % interval has no end of its own


def warnings_about(fit) -> list[str]:
    """All warnings about a LawFit, the gravest first."""
    return [
        *_convergence(fit),
        *copies(fit),
        *_few_resamples(fit),
        *_rising_loss(fit),
        *_transition(fit),
        *_residuals(fit),
        *_narrow_range(fit),
        *_correlated_variables(fit),
        *_interaction(fit),
        *_exponents(fit),
        *_floor(fit),
        *_fixed_floor(fit),
        *_exponential(fit),
        *_largest(fit),
        *_influence(fit),
        *swept(fit.table, fit.variables, fit.y_name, fit.index),
        *shared_noise(fit),
        *left_out_variable(fit),
        *other_columns(fit),
    ]


def _convergence(fit):
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


def _few_resamples(fit):
    if fit.resamples.n < FEW_RESAMPLES:
        yield (
            f"intervals from {fit.resamples.n} resamples are too narrow: take 1000 "
            f"({option('bootstrap', 1000)})"
        )


def _rising_loss(fit):
    if not falls(fit.y_name) or len(fit.variables) > 1:
        return
    name = fit.variables[0]
    sizes, losses = medians(fit.x[0], fit.y)
    # Neighbours of nearly one size may differ by their seeds alone.
    below = np.searchsorted(sizes, sizes / 1.2, side="right") - 1
    rise = np.where(below >= 0, losses / losses[below] - 1, 0)
    worst = int(np.argmax(rise))
    # Among many neighbours on a level stretch, some rise by their noise.
    noise = 1.5 * np.median(np.abs(fit.off))
    if rise[worst] > max(0.002, 4 * noise):
        start = below[worst]
        yield (
            f"{fit.y_name} rises from {losses[start]:.4g} to {losses[worst]:.4g} "
            f"between {name} = {sizes[start]:.4g} and {sizes[worst]:.4g}: "
            "train the larger one again with a lower rate or more tokens"
        )


def _transition(fit):
    """A law with a floor falls most steeply, per step of ln x, at its smallest x."""
    if not falls(fit.y_name) or len(fit.variables) > 1:
        return
    sizes, losses = medians(fit.x[0], fit.y)
    # After a run that went wrong, the next one would look like a fall.
    lowest = losses <= np.minimum.accumulate(losses)
    sizes, losses = sizes[lowest], losses[lowest]
    log_x, log_y = np.log(sizes), np.log(losses)
    for here in range(2, len(sizes) - 1):
        # The slope from the first point to here, and 1 % for noise.
        slope = (log_y[0] - log_y[here]) / (log_x[here] - log_x[0])
        step = log_x[here + 1] - log_x[here]
        drop = log_y[here] - log_y[here + 1]
        if step > np.log(1.2) and drop > 1.5 * max(slope, 0) * step + 0.01:
            yield (
                f"{fit.y_name} falls faster between {fit.variables[0]} = "
                f"{sizes[here]:.4g} and {sizes[here + 1]:.4g} than before: a "
                "transition in the series, which no power law has; fit the sizes "
                "beyond it, or train the smaller ones longer"
            )
            return


def _residuals(fit):
    error = np.abs(fit.off)
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


def _correlated_variables(fit):
    if len(fit.variables) == 1:
        return
    correlation = np.corrcoef(np.log(fit.x))[0, 1]
    if abs(correlation) > 0.95:
        first, second = fit.variables
        yield (
            f"{first} and {second} change together (correlation {correlation:.2f}): "
            f"what each does is hard to tell apart; add small {first} with large "
            f"{second}, and the reverse"
        )


def _interaction(fit):
    """L(N, D) adds up the effects of the variables. Where more of one changes the
    effect of the other, residuals fall or rise with ln N · ln D."""
    if len(fit.variables) == 1 or fit.n < 8:
        return
    residual = np.log(fit.y / fit.predict(*fit.x))
    # Outliers have a warning of their own.
    usual = np.abs(residual) <= 6 * np.median(np.abs(residual))
    residual = residual[usual]
    n, d = (np.log(x[usual] / np.median(x)) for x in fit.x)
    columns = np.stack([np.ones(len(n)), n, d, n * d], 1)
    slope, _, rank, _ = np.linalg.lstsq(columns, residual, rcond=None)
    if rank < 4 or len(n) < 8:
        return
    rest = residual - columns @ slope
    covariance = np.linalg.inv(columns.T @ columns) * (rest @ rest) / (len(n) - 4)
    chance = 5 * np.sqrt(covariance[3, 3])
    if abs(slope[3]) > chance and np.abs(residual).max() > 0.01:
        first, second = fit.variables
        yield (
            f"what {second} gains depends on {first}: the residuals are no chance but "
            f"go with ln {first} · ln {second}, which this law has no term for, or "
            f"outliers bend it; do not take its exponents and its floor at their word"
        )


def _exponents(fit):
    if fit.y.min() == fit.y.max():
        yield (
            f"{fit.y_name} is {fit.y[0]:g} in every row: the data show no power law, "
            "and the exponents mean nothing"
        )
        return
    for name in fit.form.exponents:
        column = fit.form.columns.index(name)
        least, most = (ends[column] for ends in bounds(fit.form))
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
    if fit.form.seeks_floor and not fit.floor_is_distinguishable:
        yield f"{fit.floor_verdict}: add larger runs to see where the curve bends"


def _fixed_floor(fit):
    known = dict(fit.form.fixed).get("E")
    beyond = 0 if known is None else (fit.form.sign * (fit.y - known) <= 0).sum()
    if beyond:
        side = "above" if fit.form.ceiling else "below"
        yield f"{beyond} of {fit.n} points lie {side} the fixed E = {known:g}: check it"


def _exponential(fit):
    found = dict(fit.models)
    exponential = found.pop(EXPONENTIAL, None)
    powers = [aicc for aicc in found.values() if aicc is not None]
    if exponential is None or not powers:
        return
    gain = min(powers) - exponential
    if gain > 10:
        name = fit.variables[0]
        yield (
            f"an exponential, {fit.y_name} = E + A·exp(−{name}/s), fits better than a "
            f"power law (AICc {gain:.1f} lower): do not extrapolate; add larger runs, "
            f"and check that the small ones were trained like the others"
        )


def _influence(fit):
    """The single point that moves alpha or beta beyond its own interval."""
    for point in fit.influence[:1]:
        for name in fit.form.exponents:
            change = point["change"][name]
            value = fit.parameters[name]
            if change is None:
                continue
            end = fit.interval95[name][int(change > 0)]
            if abs(change) < 1.5 * abs(end - value) + 1e-6:
                continue
            at = ", ".join(f"{x} = {point[x]:.4g}" for x in fit.variables)
            yield (
                f"one point decides {name}: without {place(point)} ({at}) it is "
                f"{value + change:.3g}, not {value:.3g}; repeat that run with "
                "other seeds"
            )


def _largest(fit):
    error = fit.leave_largest_out
    if error is not None and error > 0.03:
        yield (
            f"the law of all but the largest run of this fit is {100 * error:.1f} % "
            "off there: do not trust the curve beyond the data"
        )
