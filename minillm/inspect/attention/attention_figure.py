"""Figure of attention maps: rows are queries, columns are keys."""

import math
import unicodedata
from collections.abc import Sequence

import numpy as np

from minillm.errors import UsageError, option
from minillm.figures import COLOURS, empty_figure, legible, style
from minillm.inspect.attention.maps import (
    CROSS,
    DECODER,
    ENCODER,
    AttentionMap,
    in_parts,
)

# Lengths are in inches. Panels fill a page where they can, and take up to twice as much
# where their labels would be too small to read.
PAGE, MORE, LARGEST_PANEL = (10.0, 6.5), 2.0, 5.0
SMALLEST_TOKEN, LARGEST_TOKEN = 0.1, 0.4
GAP, LINE, BAR = 0.15, 0.3, 1.1
PANEL_TITLE = 1.05  # "layer 11, head 11"
TITLE_FONT, CAPTION_FONT, LARGEST_FONT = 12.0, 9.5, 10.5
POINTS = 72  # to an inch
BLOCKED = "#EDEDED"  # the keys that a causal query cannot see
CAPTION = "Each row is a token that looks (query), each column what it looks at (key)"
TITLES = {
    ENCODER: "encoder: the source looks at itself",
    DECODER: "decoder: the target looks back",
    CROSS: "cross: the target looks at the source",
}


def draw_attention(maps: Sequence[AttentionMap], title: str = ""):
    """A matplotlib Figure with a panel for each layer and head; write it with
    `minillm.figures.save`.

    Raises UsageError for more panels and tokens than a page can show legibly.
    """
    grids = [Grid(part) for part in in_parts(maps)]
    token = _token_size(grids)
    above = (2 if len(grids) == 1 else 3) * LINE
    below = max(_length(grid.keys, _font(token)) for grid in grids) + GAP
    lines = _length([title], TITLE_FONT), _length([CAPTION], CAPTION_FONT)
    right = sum(grid.width(token) for grid in grids)
    width = max(right + BAR, *lines)
    tall = max(BAR + LINE, *(grid.height(token) for grid in grids))
    height = above + tall + below
    with style():
        figure = empty_figure(width, height)
        page = Page(figure, width, height)
        page.text(GAP, LINE, title, size=TITLE_FONT)
        grey = COLOURS["grey"]
        page.text(GAP, 1.8 * LINE, CAPTION, size=CAPTION_FONT, color=grey)
        left = 0.0
        for grid in grids:
            image = grid.draw(page, left, above, token)
            left += grid.width(token)
        bar = page.axes(right + GAP, above + LINE, 0.16, min(3.0, tall - LINE))
        figure.colorbar(image, cax=bar, ticks=(0, 0.05, 0.2, 0.5, 1), label="weight")
    return figure


class Page:
    """A figure in which places are in inches, from the upper left corner."""

    def __init__(self, figure, width: float, height: float):
        self.figure, self.width, self.height = figure, width, height

    def axes(self, left: float, top: float, width: float, height: float):
        bottom = self.height - top - height
        sides = left / self.width, bottom / self.height
        return self.figure.add_axes((*sides, width / self.width, height / self.height))

    def text(self, left: float, top: float, text: str, **settings) -> None:
        place = left / self.width, 1 - top / self.height
        self.figure.text(*place, text, parse_math=False, **settings)


class Grid:
    """The panels of one part of a model: layers in rows and heads in columns, or nearly
    a square of either."""

    def __init__(self, maps: list[AttentionMap]):
        self.part = maps[0].part
        self.queries, self.keys = maps[0].queries, maps[0].keys
        self.causal = maps[0].causal
        self.panels = [
            (f"layer {each.layer}, head {head}", weights)
            for each in maps
            for head, weights in zip(each.heads, each.weights, strict=True)
        ]
        n_heads = len(maps[0].heads)
        square = math.ceil(math.sqrt(len(self.panels)))
        self.columns = n_heads if len(maps) > 1 and n_heads > 1 else square
        self.rows = math.ceil(len(self.panels) / self.columns)

    def width(self, token: float) -> float:
        panels = self.columns * self._step(token)
        return _length(self.queries, _font(token)) + LINE + panels

    def _step(self, token: float) -> float:
        """From one column to the next."""
        return max(len(self.keys) * token, PANEL_TITLE) + GAP

    def height(self, token: float) -> float:
        return self.rows * (len(self.queries) * token + LINE)

    def draw(self, page: Page, left: float, top: float, token: float):
        """Draw the panels; returns an image that a colour bar can be made for."""
        from matplotlib.colors import PowerNorm

        left += _length(self.queries, _font(token)) + LINE
        width, height = len(self.keys) * token, len(self.queries) * token
        page.text(left, top, TITLES.get(self.part, ""), size=11)
        for i, (title, weights) in enumerate(self.panels):
            row, column = divmod(i, self.columns)
            axes = page.axes(
                left + column * self._step(token),
                top + LINE + row * (height + LINE),
                width,
                height,
            )
            axes.set_title(title, fontsize=9, pad=3)
            axes.grid(visible=False)
            axes.set(xticks=(), yticks=(), facecolor=BLOCKED)
            if self.causal:
                future = np.triu(np.ones_like(weights, bool), 1)
                weights = np.ma.masked_array(weights, future)
            # The root makes small weights visible: an even share of 20 tokens is 0.05.
            image = axes.imshow(
                weights, "Blues", PowerNorm(0.5, 0, 1), interpolation="nearest"
            )
            if i + self.columns >= len(self.panels):
                _write_keys(axes, self.keys, token)
            if column == 0:
                _write_queries(axes, self.queries, token)
        return image


def _write_keys(axes, keys: Sequence[str], token: float) -> None:
    """The tokens below a panel. Where one is too long, all but single letters lie."""
    font = _font(token)
    lying = _length(keys, font) > token
    below = {"xycoords": axes.get_xaxis_transform(), "xytext": (0, -3)}
    for i, key in enumerate(keys):
        turned = 90 if lying and len(legible(key)) > 1 else 0
        placed = {"ha": "center", "va": "top", "rotation": turned}
        _write(axes, key, (i, 0), fontsize=font, **below, **placed)


def _write_queries(axes, queries: Sequence[str], token: float) -> None:
    """The tokens to the left of a panel."""
    beside = {"xycoords": axes.get_yaxis_transform(), "xytext": (-3, 0)}
    placed = {"ha": "right", "va": "center_baseline"}
    for i, query in enumerate(queries):
        _write(axes, query, (0, i), fontsize=_font(token), **beside, **placed)


def _write(axes, text: str, place: tuple, **settings) -> None:
    """A label that is no tick's, whose text `legible_texts` could not replace."""
    axes.annotate(text, place, textcoords="offset points", parse_math=False, **settings)


def _token_size(grids: list[Grid]) -> float:
    """The side of a token's cell. Raises UsageError where a page is too small."""
    across = sum(grid.columns * len(grid.keys) for grid in grids)
    down = max(grid.rows * len(grid.queries) for grid in grids)
    longest = max(len(tokens) for grid in grids for tokens in (grid.keys, grid.queries))
    fitting = min(PAGE[0] / across, PAGE[1] / down)
    if MORE * fitting < SMALLEST_TOKEN:
        n_panels = sum(len(grid.panels) for grid in grids)
        room = int(longest * MORE * fitting / SMALLEST_TOKEN)
        choose = (
            f", or choose {option('layer')} or {option('head')}" if n_panels > 1 else ""
        )
        raise UsageError(
            f"the text has {longest} tokens, and {n_panels} panels on a page show "
            f"{room} each: shorten it{choose}"
        )
    return max(SMALLEST_TOKEN, min(fitting, LARGEST_PANEL / longest, LARGEST_TOKEN))


def _font(token: float) -> float:
    """The size of a label, in points, beside a cell of this side."""
    return min(LARGEST_FONT, 0.78 * token * POINTS)


def _length(texts: Sequence[str], font: float) -> float:
    """About how long the longest of these texts is, as it will be drawn."""
    ems = max(sum(map(_ems, legible(text))) for text in texts)
    return ems * font / POINTS


def _ems(character: str) -> float:
    return 1.0 if unicodedata.east_asian_width(character) in "WF" else 0.62
