"""Figures of fitted laws: points, the curve with its band, the held-out run."""

from collections.abc import Mapping, Sequence

import numpy as np

from minillm.figures import COLOURS, log_axis, new_figure, short, short_ticks, style
from minillm.laws.formula import AMPLITUDES, EXPONENTS
from minillm.laws.law import LawFit

# The meaning of the columns of a series. Other tables have their columns' names alone.
LABELS = {
    "N": "parameters N (non-embedding)",
    "D": "training tokens D",
    "C": "training FLOPs C",
    "loss": "validation loss (nats/token)",
    "accuracy": "next-token accuracy",
    "decode_seconds_per_token": "decoding (seconds/token)",
    "train_seconds": "training (seconds)",
}
GREEK = {"alpha": "α", "beta": "β"}
CURVE_POINTS = 200


def draw_law(
    fit: LawFit,
    *,
    repeats: Mapping[float, Sequence[float]] | None = None,
    held_out: tuple[float, float] | None = None,
    title: str | None = None,
    labels: Mapping[str, str] | None = None,
    x_label: str | None = None,
    y_label: str | None = None,
):
    """A matplotlib Figure of a law; write it with `minillm.figures.save`.

    repeats: {x: [y of every seed]}, drawn as a bar from the least to the largest.
    held_out: (x, measured y) of a run that the law has not seen.
    labels: {column: its meaning}; by default an axis has the column's own name.
    A law of two variables is drawn against the first, coloured by the second, with the
    points' distances from it below.
    """
    labels = labels or {}
    with style():
        if len(fit.variables) == 2:
            figure, (axes, lowest) = new_figure(7.2, 6.0, rows=2)
            axes.get_gridspec().set_height_ratios([3, 1])
            second = _label(fit.variables[1], labels)
            _draw_second_variable(figure, axes, lowest, fit, second)
        else:
            figure, axes = new_figure()
            lowest = axes
            _draw_one_variable(axes, fit, repeats or {}, held_out)
            log_axis(axes.xaxis)
        title = _exponents(fit) if title is None else title
        if len(fit.variables) == 2:
            # Above the panel: in every corner it could hide points.
            title = f"{_plain(fit.y_name)} = {numbers(fit)}\n{title}"
        axes.set_title(title)
        lowest.set_xlabel(x_label or _label(fit.variables[0], labels))
        axes.set_ylabel(y_label or _label(fit.y_name, labels))
        empty = "upper right" if fit.parameters["alpha"] > 0 else "upper left"
        if fit.form.ceiling:
            empty = "lower right"
        if len(fit.variables) == 1:
            axes.legend(loc=empty, handlelength=2.4, labelspacing=0.55)
    return figure


def draw_power_laws(
    fits: Mapping[str, LawFit],
    *,
    labels: Mapping[str, str] | None = None,
    x_label: str | None = None,
):
    """A matplotlib Figure of laws y = a·xⁿ + b, one small panel each.

    fits: {name of y: law}, as `fit_power` gives them. labels: as in `draw_law`.
    """
    labels = labels or {}
    with style():
        figure, panels = new_figure(3.6 * len(fits), 3.5, columns=len(fits))
        figure.get_layout_engine().set(wspace=0.06)
        for axes, (name, fit) in zip(np.ravel(panels), fits.items(), strict=True):
            draw_curve(axes, fit, places(fit.x[0]))
            axes.plot(fit.x[0], fit.y, "o", color=COLOURS["blue"], markersize=6)
            power = fit.as_power()
            low, high = (_number(end) for end in power["interval95"]["n"])
            axes.set_title(
                f"{numbers(fit)}\nn = {_number(power['n'])} (95 %: {low} to {high})",
                fontsize=10.5,
            )
            log_axis(axes.xaxis)
            if fit.y.max() > 5 * fit.y.min():
                log_axis(axes.yaxis)
            elif fit.y.max() < 0.01:
                short_ticks(axes.yaxis)
            axes.set_xlabel(x_label or _label(fit.variables[0], labels))
            axes.set_ylabel(_label(name, labels))
    return figure


def _draw_one_variable(axes, fit: LawFit, repeats, held_out) -> None:
    x = fit.x[0]
    line = places(np.append(x, held_out[0]) if held_out else x)
    draw_curve(axes, fit, line, label=f"{_plain(fit.y_name)} = {numbers(fit)}")
    axes.plot(x, fit.y, "o", color=COLOURS["blue"], markersize=7)
    for size, seeds in repeats.items():
        ends = [min(seeds), max(seeds)]
        axes.plot([size] * 2, ends, "_-", ms=13, lw=1.3, color=COLOURS["blue"])
    # With a floor of 0 both curves are the same.
    floor = fit.form.floor and fit.parameters["E"] > 0
    if floor and not fit.form.ceiling:
        pure = fit.without_floor.predict
        label = "power law without a floor"
        if held_out:
            label += f" ({_percent(pure(held_out[0]), held_out[1])})"
        axes.plot(line, pure(line), ":", lw=1.5, color=COLOURS["grey"], label=label)
    if held_out:
        size, measured = held_out
        predicted = fit.predict(size)
        axes.plot(
            size,
            measured,
            "D",
            color=COLOURS["red"],
            markersize=8,
            label=f"held out: {measured:#.4g}, predicted {predicted:#.4g} "
            f"({_percent(predicted, measured)})",
        )
    if floor:
        _draw_floor(axes, fit)


def draw_curve(axes, fit: LawFit, line: np.ndarray, label=None, colour=None) -> None:
    """The law and its 95 % band, over the places `line`; in blue by default."""
    colour = colour or COLOURS["blue"]
    axes.fill_between(line, *fit.band(line), color=colour, alpha=0.15, linewidth=0)
    axes.plot(line, fit.predict(line), color=colour, label=label)
    axes.set_xlim(line[0], line[-1])


def _draw_floor(axes, fit: LawFit) -> None:
    level = fit.parameters["E"]
    name = "ceiling" if fit.form.ceiling else "floor"
    axes.axhline(level, color=COLOURS["grey"], linestyle="--", linewidth=1.2)
    axes.margins(y=0.08)
    axes.annotate(
        f"{name} E = {level:.3g}",
        (0.015, level),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        color=COLOURS["grey"],
    )


def _draw_second_variable(figure, axes, below, fit: LawFit, label: str) -> None:
    """Points coloured by the second variable (`label`), curves at some of its values,
    and below them the residuals."""
    first, second = fit.x
    scale = shades(second)
    colours = scale.to_rgba(second)
    axes.scatter(first, fit.y, c=colours, s=22)
    line = places(first)
    values = np.unique(second)
    if len(values) > 6:
        values = np.quantile(second, [0.05, 0.275, 0.5, 0.725, 0.95])
    for value in values:
        curve = fit.predict(line, value)
        axes.plot(line, curve, color=scale.to_rgba(value), lw=1.4)
    shade_bar(figure, axes, scale, second, label)

    error = 100 * fit.off
    below.axhline(0, color=COLOURS["grey"], linewidth=1.2)
    below.scatter(first, error, c=colours, s=16)
    most = 1.15 * max(np.abs(error).max(), 0.1)
    below.set_ylim(-most, most)
    below.set_ylabel("off the law (%)")
    axes.tick_params(labelbottom=False)
    for panel in (axes, below):
        panel.set_xlim(line[0], line[-1])
        log_axis(panel.xaxis)


def shades(values: np.ndarray):
    """Colours for values on a logarithmic scale, from dark to light: `to_rgba`."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    low, high = np.min(values), np.max(values)
    # The lightest fifth of viridis is hard to see on white.
    return ScalarMappable(LogNorm(low, max(high, 1.01 * low) ** 1.25 / low**0.25))


def shade_bar(figure, axes, scale, values: np.ndarray, label: str) -> None:
    """The key to `shades` beside a panel: a tick for each value, or for five."""
    ticks = np.unique(values)
    if len(ticks) > 8:
        ticks = np.geomspace(ticks[0], ticks[-1], 5)
    bar = figure.colorbar(scale, ax=axes, label=label)
    if ticks[0] < ticks[-1]:
        bar.ax.set_ylim(ticks[0], ticks[-1])
    bar.ax.minorticks_off()
    bar.set_ticks(ticks, labels=[short(float(f"{tick:.2g}")) for tick in ticks])


def places(x: np.ndarray) -> np.ndarray:
    """Places along the curve, a little beyond the points at both ends."""
    return np.geomspace(x.min() / 1.3, x.max() * 1.3, CURVE_POINTS)


def _exponents(fit: LawFit) -> str:
    """Every exponent with its interval, a line each."""
    lines = []
    for name in fit.form.exponents:
        low, high = (_number(end) for end in fit.interval95[name])
        value = _number(fit.parameters[name])
        symbol = "α = β" if fit.form.tied else GREEK[name]
        lines.append(f"{symbol} = {value}, 95 % interval {low} to {high}")
    return "\n".join(lines)


def numbers(fit: LawFit) -> str:
    """The law with its numbers, its exponents raised: 1.12 + 36.2·N^−0.43."""
    terms = [
        f"{_coefficient(fit.parameters[amplitude])}·"
        f"{_plain(variable)}{_raised(_number(-fit.parameters[exponent]))}"
        for variable, amplitude, exponent in zip(
            fit.variables, AMPLITUDES, EXPONENTS, strict=False
        )
    ]
    if fit.form.floor and fit.parameters["E"] > 0:
        terms.insert(0, _coefficient(fit.parameters["E"]))
    return (" − " if fit.form.ceiling else " + ").join(terms)


def _coefficient(value: float) -> str:
    """Three digits, with a power of ten in place of many zeros."""
    digits, exponent = f"{value:.2e}".split("e")
    if -3 <= int(exponent) < 5:
        return np.format_float_positional(
            value, precision=3, unique=False, fractional=False, trim="-"
        )
    return f"{digits}·10{_raised(str(int(exponent)))}"


def _raised(text: str) -> str:
    return f"$^{{{text}}}$"


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _percent(predicted: float, measured: float) -> str:
    return f"{100 * (predicted / measured - 1):+.1f} %".replace("-", "−")


def _label(name: str, labels: Mapping[str, str]) -> str:
    return labels.get(name, _plain(name))


def _plain(name: str) -> str:
    """A column's name without formulas in it: matplotlib sets `$…$` as one."""
    return name.replace("$", r"\$")
