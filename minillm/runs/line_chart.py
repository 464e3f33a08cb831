"""A line chart as SVG, in the style of `figures.py` and without matplotlib.

Every run ends with a picture of its curve. To import matplotlib and lay out its axes
takes longer than all else that a small run does around its steps.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minillm.figures import COLOURS
from minillm.files import MARK
from minillm.visible import fit_for_xml

WIDTH, HEIGHT = 475.2, 316.8  # points, of which an inch has 72
RIGHT, TOP, BOTTOM = 472.2, 22.1, 280.0  # of the axes; the left leaves room for numbers
DIGIT = 0.636  # the width of a digit, of the height of its font
LETTER = 0.51  # about that of a letter
MARGIN = 0.05  # around the lines, of what they span
MOST_TICKS = 9
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
LONGEST = 1e6  # from here on a number is written in three digits


@dataclass(frozen=True)
class Line:
    """A line through the points (x, y), (n,) each. With a label it is in the legend."""

    x: np.ndarray
    y: np.ndarray
    colour: str
    label: str = ""
    width: float = 2.0
    opacity: float = 1.0
    dots: bool = False


def line_chart(lines: Sequence[Line], title: str, x_label: str, y_label: str) -> str:
    """Lines over a logarithmic x, from 1 on, as SVG."""
    x_low, x_high = _range(np.log10(np.maximum(1, _all(line.x for line in lines))))
    y_low, y_high = _range(_all(line.y for line in lines))
    powers, between = _powers(x_low, x_high)
    steps = _steps(y_low, y_high)
    left = 25 + max((_width(text) for _, text in steps), default=0)

    def across(log_x):
        return left + (RIGHT - left) * (log_x - x_low) / (x_high - x_low)

    def down(y):
        return BOTTOM + (TOP - BOTTOM) * (y - y_low) / (y_high - y_low)

    marks = [(across(place), text) for place, text in powers]
    levels = [(down(value), text) for value, text in steps]
    middle, half_way = (left + RIGHT) / 2, (TOP + BOTTOM) / 2
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}pt" '
            f'height="{HEIGHT}pt" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="10" '
            f"font-family=\"'DejaVu Sans', Verdana, sans-serif\" "
            f'fill="{COLOURS["black"]}">',
            f"<!-- {MARK} -->",
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            _stroke([f"M{x:.1f} {BOTTOM}V{TOP}" for x, _ in marks], "#e6e6e6"),
            _stroke([f"M{left:.1f} {y:.1f}H{RIGHT}" for y, _ in levels], "#e6e6e6"),
            *(_drawn(line, across, down) for line in lines),
            _stroke([f"M{left:.1f} {TOP}V{BOTTOM}H{RIGHT}"]),
            _stroke([f"M{x:.1f} {BOTTOM}v3.5" for x, _ in marks]),
            _stroke([f"M{across(x):.1f} {BOTTOM}v2" for x in between], width=0.6),
            _stroke([f"M{left:.1f} {y:.1f}h-3.5" for y, _ in levels]),
            *(_text(text, x, BOTTOM + 14.6, "middle") for x, text in marks),
            *(_text(text, left - 7, y + 3.8, "end") for y, text in levels),
            _text(x_label, middle, BOTTOM + 31.2, "middle", 11),
            _text(y_label, 11.4, half_way, "middle", 11, turned=True),
            _text(title, left, TOP - 10, "start", 12),
            *_legend([line for line in lines if line.label]),
            "</svg>\n",
        ]
    )


def _all(parts) -> np.ndarray:
    return np.concatenate([*parts, []])


def _width(number: str) -> float:
    """Of a number that stands beside its tick; a point takes half a digit."""
    return 10 * DIGIT * (len(number) - number.count(".") / 2)


def _range(values: np.ndarray) -> tuple[float, float]:
    """What an axis shows, so that the lines do not touch its ends."""
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    margin = MARGIN * (high - low)
    if margin < 1e-9 * max(abs(low), abs(high), 1e-9):  # a point
        margin = max(0.5, MARGIN * abs(low))
    return low - margin, high + margin


def _powers(low: float, high: float) -> tuple[list[tuple[float, str]], list[float]]:
    """The ticks of a logarithmic axis: those with a text, as (log10 of the number, its
    text), and those between them. Where it shows no two powers of ten, some multiples
    have a text too."""
    named, between = [], []
    n_powers = math.floor(high) - math.ceil(low) + 1
    for power in range(math.floor(low), math.floor(high) + 1):
        raised = f"10{str(power).translate(RAISED)}"
        for times in range(1, 10):
            place = power + math.log10(times)
            if not low <= place <= high:
                continue
            if times == 1:
                named.append((place, raised))
            elif n_powers < 2 and times in (2, 3, 5):
                named.append((place, f"{times}×{raised}"))
            else:
                between.append(place)
    return named, between


def _steps(low: float, high: float) -> list[tuple[float, str]]:
    """The ticks of a plain axis: round numbers at equal distances, and their texts."""
    least = (high - low) / MOST_TICKS
    exponent = math.floor(math.log10(least))
    unit = 10.0**exponent
    times = next(times for times in (1, 2, 2.5, 5, 10) if times * unit >= least)
    step = times * unit
    digits = max(0, -exponent + (times == 2.5) - (times == 10))
    values = [i * step for i in range(math.ceil(low / step), int(high // step) + 1)]
    return [(value, _written(value, digits)) for value in values]


def _written(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}" if abs(value) < LONGEST else f"{value:.3g}"
    return text.replace("-", "−")


def _stroke(paths: list[str], colour: str = COLOURS["grey"], width=0.8) -> str:
    path = f'<path d="{"".join(paths)}" fill="none"'
    return f'{path} stroke="{colour}" stroke-width="{width}"/>'


def _drawn(line: Line, across, down) -> str:
    xs = across(np.log10(np.maximum(1, line.x)))
    places = list(zip(xs.tolist(), down(np.asarray(line.y)).tolist(), strict=True))
    return _path(line, places) + _dots(line, places)


def _path(line: Line, places: list[tuple[float, float]]) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return (
        f'<polyline points="{points}" fill="none" stroke="{line.colour}" '
        f'stroke-width="{line.width}" stroke-opacity="{line.opacity}" '
        f'stroke-linejoin="round"/>'
    )


def _dots(line: Line, places: list[tuple[float, float]]) -> str:
    return "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{line.colour}"/>'
        for x, y in (places if line.dots else [])
    )


def _text(text: str, x: float, y: float, anchor: str, size=10, turned=False) -> str:
    x, y = f"{x:.1f}", f"{y:.1f}"
    turn = f' transform="rotate(-90 {x} {y})"' if turned else ""
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}"{turn}>'
        f"{html.escape(fit_for_xml(text))}</text>"
    )


def _legend(lines: list[Line]) -> list[str]:
    """In the upper right corner, on paper through which lines can be seen."""
    size, row = 9.5, 14.25
    longest = max((len(line.label) for line in lines), default=0)
    begin = RIGHT - 9 - size * LETTER * longest
    found = [
        f'<rect x="{begin - 32:.1f}" y="{TOP + 4}" width="{RIGHT - begin + 32:.1f}" '
        f'height="{row * len(lines)}" fill="#ffffff" fill-opacity="0.8"/>'
    ]
    for i, line in enumerate(lines):
        y = TOP + 12.4 + row * i
        found += [
            _path(line, [(begin - 26.6, y), (begin - 7.6, y)]),
            _dots(line, [(begin - 17.1, y)]),
            _text(line.label, begin, y + 3.3, "start", size),
        ]
    return found
