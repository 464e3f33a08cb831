"""The picture of isoFLOP profiles: the losses with their minima, and their laws."""

import numpy as np

from minillm.figures import COLOURS, log_axis, new_figure, short, style
from minillm.scaling.isoflop import IsoFlop

WORDS = {"N_opt": "parameters", "D_opt": "tokens"}


def draw_isoflop(found: IsoFlop):
    """A matplotlib Figure of an IsoFlop; write it with `minillm.figures.save`."""
    with style():
        figure, (left, right) = new_figure(10.4, 4.6, columns=2)
        _draw_profiles(figure, left, found)
        if found.laws:
            _draw_law(right, found, "N_opt", COLOURS["blue"], "o")
            _draw_law(right, found, "D_opt", COLOURS["red"], "s")
            log_axis(right.xaxis)
            log_axis(right.yaxis)
            right.legend(loc="upper left", handlelength=2.0)
        else:
            right.set_axis_off()
        right.set_title("the best size and its tokens")
        right.set_xlabel("training FLOPs C")
    return figure


def _draw_profiles(figure, axes, found: IsoFlop) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    flops = [profile.flops for profile in found.profiles]
    # The last fifth of viridis is too light for lines on white.
    colours = colormaps["viridis"].resampled(256)
    scale = LogNorm(
        min(flops) / 1.05, max(flops) * 1.05 * (max(flops) / min(flops)) ** 0.2
    )
    for profile in found.profiles:
        colour = colours(scale(profile.flops))
        far = ~profile.near
        axes.plot(
            profile.n[profile.near], profile.loss[profile.near], "o", ms=5, color=colour
        )
        axes.plot(profile.n[far], profile.loss[far], "o", ms=4, color=colour, alpha=0.4)
        ends = profile.n[profile.near].min(), profile.n[profile.near].max()
        line = np.geomspace(*ends, 100)
        used = profile.has_minimum
        axes.plot(
            line, profile.predict(line), "-" if used else ":", lw=1.5, color=colour
        )
        if used:
            lowest = float(profile.predict(profile.n_opt))
            axes.plot(
                profile.n_opt,
                lowest,
                "D",
                ms=7,
                color=COLOURS["red"],
                markeredgecolor="white",
            )
    log_axis(axes.xaxis)
    axes.set_title("losses at equal FLOPs, parabolas and their minima")
    axes.set_xlabel(f"parameters {found.names['N']}")
    axes.set_ylabel(found.names["loss"])
    bar = figure.colorbar(ScalarMappable(scale, colours), ax=axes, label="FLOPs C")
    bar.ax.set_ylim(min(flops) / 1.05, max(flops) * 1.05)
    bar.ax.minorticks_off()
    ticks = flops if len(flops) <= 8 else np.geomspace(min(flops), max(flops), 5)
    bar.set_ticks(ticks, labels=[short(float(f"{tick:.2g}")) for tick in ticks])


def _draw_law(axes, found: IsoFlop, name: str, colour: str, marker: str) -> None:
    law = found.laws[name]
    used = [record for record in found.budgets if record["used"]]
    flops = np.array([record["C"] for record in used])
    line = np.geomspace(flops.min() / 1.5, flops.max() * 1.5, 100)
    band = found.band(name, line)
    label = f"{WORDS[name]} $\\propto$ C$^{{{law['n']:.3f}}}$"
    if band:
        low, high = law["interval95"]["n"]
        label += f" (95 %: {low:.3f} to {high:.3f})"
        axes.fill_between(line, *band, color=colour, alpha=0.15, linewidth=0)
    axes.plot(line, law["a"] * line ** law["n"], color=colour, label=label)
    axes.plot(flops, [record[name] for record in used], marker, color=colour, ms=6)
    axes.set_xlim(line[0], line[-1])
