"""Figure of isoFLOP profiles: the losses with their minima, and their laws."""

import numpy as np

from minillm.figures import COLOURS, log_axis, new_figure, style
from minillm.laws.isoflop import IsoFlop
from minillm.laws.law_figure import shade_bar, shades

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
            right.set_title("the best size and its tokens")
        else:
            right.set_axis_off()
            right.set_title("too few budgets have a minimum inside")
        right.set_xlabel(_label(found, "C"))
    return figure


def _draw_profiles(figure, axes, found: IsoFlop) -> None:
    flops = [profile.flops for profile in found.profiles]
    scale = shades(flops)
    for profile in found.profiles:
        colour = scale.to_rgba(profile.flops)
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
    if found.envelope:
        line = np.geomspace(min(flops), max(flops), 100)
        best = found.laws["N_opt"]
        sizes = best["a"] * line ** best["n"]
        axes.plot(
            sizes,
            found.envelope.predict(line),
            "--",
            lw=1.2,
            color=COLOURS["grey"],
        )
    log_axis(axes.xaxis)
    axes.set_title("losses at equal FLOPs; dashed: the envelope")
    axes.set_xlabel(_label(found, "N"))
    axes.set_ylabel(found.names["loss"].replace("$", r"\$"))
    shade_bar(figure, axes, scale, flops, _label(found, "C"))


def _label(found: IsoFlop, what: str) -> str:
    """The label of N or C; a user's column has its own name."""
    name = found.names[what]
    if name == what:
        return {"N": "parameters N", "C": "training FLOPs C"}[what]
    return name.replace("$", r"\$")


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
