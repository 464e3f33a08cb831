"""Figures of a report, as inline SVG."""

from collections.abc import Iterator

from minillm.figures import short
from minillm.laws.law_figure import LABELS, draw_law, draw_power_laws
from minillm.studies.compare.comparison_figures import MOST_CURVES, draw_curves
from minillm.studies.report.html import picture as inline
from minillm.studies.report.laws import Laws
from minillm.studies.run_folders import RunRead, Series

CAPTIONS = {
    "accuracy": "Next-token accuracy by size.",
    "train_seconds": "Seconds of training by size.",
    "decode_seconds_per_token": "Seconds to write a token, by size.",
}


WIDTH = 5.6  # inches: small, so that the letters can be read on a phone


def picture(figure, name: str, caption: str, height: float = 3.9) -> str:
    figure.set_size_inches(WIDTH, height)
    return inline(figure, name, caption)


def law_of_size(series: Series, laws: Laws) -> str:
    points = series.points_of_size
    repeats = {p.size: p.losses for p in points if len(p.losses) > 1}
    found = laws.held_out
    held_out = (found.size, found.measured) if found else None
    caption = (
        "The law of the validation loss. Points: the models it was fitted to (medians; "
        "bars reach from the least to the largest seed). Band: 95 % of the curves that "
        "the data allow."
    )
    if found:
        caption += " Diamond: the model held out, which the law has not seen."
    figure = draw_law(
        laws.size, repeats=repeats, held_out=held_out, title="", labels=LABELS
    )
    return picture(figure, "law", caption)


def law_of_both(laws: Laws) -> str:
    caption = (
        "The law of size and text, L(N, D), its points, and below what it leaves "
        "unexplained. What most lengths share at one size is luck of a run, or a law "
        "of another form; a slope along N or D is no luck."
    )
    return picture(
        draw_law(laws.both, title="", labels=LABELS), "both", caption, height=5.0
    )


def learning_curves(series: Series) -> str:
    """One curve a size: the longest run of the first seed."""
    chosen = {}
    for run in [*series.fitted, *series.held_out]:
        before = chosen.get(run.size)
        if run.lines and (before is None or _rank(run) < _rank(before)):
            chosen[run.size] = run
    if not chosen:
        return ""
    held_out = {run.name for run in series.held_out}
    runs = {_label(run, run.name in held_out): run for _, run in sorted(chosen.items())}
    in_bytes = "tokenizers" in series.several
    figure = draw_curves(runs, title="", in_bytes=in_bytes)
    caption = (
        "Learning curves: training loss, smoothed, of one run of each size. Dots: the "
        "validation loss at the end."
    )
    if len(runs) > MOST_CURVES:
        caption += f" The smallest {MOST_CURVES} of {len(runs):,} sizes."
    return picture(figure, "curves", caption)


def powers(laws: Laws) -> Iterator[str]:
    for name, law in laws.powers.items():
        figure = draw_power_laws({name: law}, labels=LABELS)
        yield inline(figure, name, CAPTIONS[name])


def _rank(run: RunRead) -> tuple:
    return -run.tokens, run.get("seed") or 0, run.name


def _label(run: RunRead, held_out: bool) -> str:
    shape = f"{run.get('config', 'n_layers')} × {run.get('config', 'd_model')}"
    return f"{shape}, N = {short(run.size)}" + (" (held out)" if held_out else "")
