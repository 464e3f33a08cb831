"""Figures of a comparison: learning curves of runs, or laws of series."""

from itertools import islice

import numpy as np

from minillm.errors import UsageError
from minillm.figures import COLOURS, CYCLE, log_axis, new_figure, short, style
from minillm.laws.law_figure import LABELS, draw_curve, numbers, places
from minillm.studies.run_folders import RunRead

AXES = {
    "tokens": "tokens seen",
    "seconds": "seconds of training",
    "flops": "training FLOPs (exact)",
}
SHOWN_FROM = 0.004  # of a run: before, the loss only falls from ln V
MOST_POINTS = 400  # of a curve
MOST_CURVES = 50  # in a figure: more look alike


def draw_curves(
    runs: dict[str, RunRead], *, x: str = "tokens", in_bytes: bool = False, title=None
):
    """A matplotlib Figure of loss over x, a line a run, its validation loss at the end.

    runs: {label: run}, of which the first 50 are drawn. in_bytes: bits per byte instead
    of nats per token.
    """
    if x not in AXES:
        raise UsageError(f"x {x!r}: choose one of {', '.join(AXES)}")
    explained = "training loss; dots: validation loss at the end"
    if len(runs) > MOST_CURVES:
        explained += f"; the first {MOST_CURVES} of {len(runs):,} runs"
        runs = dict(islice(runs.items(), MOST_CURVES))
    with style():
        figure, axes = new_figure()
        colours = _colours(len(runs))
        for (label, run), colour in zip(runs.items(), colours, strict=True):
            places, losses = curve(run, x)
            unit = (run.bits_per_nat or np.nan) if in_bytes else 1.0
            axes.plot(places, losses * unit, color=colour, lw=1.5, label=label)
            if run.loss is not None and len(places):
                axes.plot(places[-1], run.loss * unit, "o", color=colour, markersize=5)
        log_axis(axes.xaxis)
        axes.set_xlabel(AXES[x])
        axes.set_ylabel("loss (bits/byte)" if in_bytes else "loss (nats/token)")
        axes.set_title(explained if title is None else title)
        axes.legend(ncols=1 + (len(runs) > 8), fontsize=8.5)
    return figure


def draw_series(found: list):
    """A matplotlib Figure of the laws of series (`SeriesLaw`) over parameters: points,
    bands, and the models held out."""
    with style():
        figure, axes = new_figure(7.2, 4.8)
        for one, colour in zip(found, _colours(len(found)), strict=True):
            law, held_out = one.law, one.held_out
            sizes = law.x[0]
            line = places(np.append(sizes, held_out.size) if held_out else sizes)
            draw_curve(axes, law, line, f"{one.label}: {numbers(law)}", colour)
            axes.plot(sizes, law.y, "o", color=colour, markersize=6)
            for point in one.series.points_of_size:
                ends = [min(point.losses), max(point.losses)]
                axes.plot([point.size] * 2, ends, "-", lw=1.3, color=colour)
            if held_out:
                axes.plot(
                    held_out.size,
                    held_out.measured,
                    "D",
                    ms=9,
                    color=colour,
                    markeredgecolor="white",
                )
        # The last curve drawn has set the ends for itself alone.
        axes.autoscale(axis="x")
        log_axis(axes.xaxis)
        axes.set_xlabel(LABELS["N"])
        axes.set_ylabel(LABELS["loss"])
        read = {f"{short(one.tokens)} tokens of {one.text}" for one in found}
        each = f"{read.pop()} for each model\n" if len(read) == 1 else ""
        held_out = "; diamonds: held out" if any(one.held_out for one in found) else ""
        axes.set_title(f"{each}bands: 95 % of the curves{held_out}")
        axes.legend(loc="upper right", handlelength=2.4)
    return figure


def curve(run: RunRead, x: str = "tokens") -> tuple[np.ndarray, np.ndarray]:
    """A run's smoothed training loss: places (n,) and losses (n,), at most 400."""
    lines = [line for line in run.lines if line["loss"] is not None]
    per_token = run.get("flops", "per_token") or np.nan
    places = {
        "tokens": [line["tokens"] for line in lines],
        "seconds": [line.get("seconds", np.nan) for line in lines],
        "flops": [line["tokens"] * per_token for line in lines],
    }
    x = np.array(places[x], float)
    if not len(x):
        return x, x
    y = _smooth(np.array([line["loss"] for line in lines], float))
    shown = x >= SHOWN_FROM * x[-1]
    x, y = x[shown], y[shown]
    steps = np.geomspace(1, len(x), min(len(x), MOST_POINTS))
    chosen = np.unique(steps.round().astype(int)) - 1
    return x[chosen], y[chosen]


def _colours(n: int) -> list:
    """House colours for a few; for many in order, from dark to light."""
    if n <= len(CYCLE):
        return [COLOURS[name] for name in CYCLE[:n]]
    from matplotlib import colormaps

    return list(colormaps["viridis"](np.linspace(0, 0.92, n)))


def _smooth(loss: np.ndarray) -> np.ndarray:
    """Moving average over a window that grows with the step, as the log axis shrinks
    it, and narrows before the end, where the loss falls fast in the cooldown."""
    sums = np.concatenate([[0.0], np.cumsum(loss)])
    i = np.arange(len(loss))
    half = np.minimum(i // 12, np.maximum(len(loss) - 1 - i, len(loss) // 60))
    half = np.maximum(1, half)
    first, last = np.maximum(0, i - half), np.minimum(len(loss), i + half + 1)
    return (sums[last] - sums[first]) / (last - first)
