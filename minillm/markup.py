"""HTML, from texts that anybody may have written: all of them go through `escape`.

These functions return HTML. A page of them is `studies/report/html.py`; in a notebook
a result shows itself by them.
"""

import base64
import html
import math
import re
from collections.abc import Iterable, Sequence

from minillm.visible import fit_for_xml

BLUE, RED = "#0072B2", "#D55E00"  # of figures.py


def escape(plain: str) -> str:
    """A text escaped for HTML, in an attribute too."""
    return html.escape(fit_for_xml(plain))


def text(plain: str) -> str:
    """A text as HTML: escaped, exponents raised, numbers kept beside their units."""
    found = re.sub(r"(?<![\w.])-(?=\d)", "−", escape(plain))
    found = re.sub(r"\^(\()?(−?[\w.]*\w)(?(1)\))", r"<sup>\2</sup>", found)
    return re.sub(r"(?<=\d) (?=(?:%|[kMGT]\b|[mµn]s\b))", "&nbsp;", found)


def table(heads: list[str], rows: list[list[str]], caption: str = "") -> str:
    """A table that scrolls on a narrow screen, with numbers on the right."""
    columns = zip(*rows, strict=True)
    kinds = ["n" if all(map(_is_figure, column)) else "t" for column in columns]
    kinds = kinds or ["t"] * len(heads)
    head = _row("th", heads, kinds)
    body = "\n".join(_row("td", row, kinds) for row in rows)
    title = f"<caption>{text(caption)}</caption>" if caption else ""
    return (
        f'<div class="wide"><table>{title}<thead>{head}</thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _row(tag: str, cells: list[str], kinds: list[str]) -> str:
    pairs = zip(cells, kinds, strict=True)
    # A notebook, which has no style of ours, would put texts on the right too.
    style = {"n": "", "t": ' style="text-align:left"'}
    row = "".join(
        f'<{tag} class="{kind}"{style[kind]}>{text(cell)}</{tag}>'
        for cell, kind in pairs
    )
    return f"<tr>{row}</tr>"


def _is_figure(cell: str) -> bool:
    return re.match(r"[−+-]?[\d.,]+(e[+-]?\d+)?( |$)|–$", cell) is not None


def shown(title: str, *parts: str) -> str:
    """A result in a notebook, under a title."""
    return f"<div><b>{text(title)}</b>{''.join(parts)}</div>"


def line(plain: str) -> str:
    return f"<div>{text(plain)}</div>"


def numbers(rows: Iterable[tuple[str, str]]) -> str:
    """A small table of names and values, one a line."""
    found = "".join(
        f'<tr><th style="text-align:left">{text(name)}</th>'
        f'<td style="text-align:right">{text(value)}</td></tr>'
        for name, value in rows
    )
    return f"<table><tbody>{found}</tbody></table>"


def verbatim(plain: str) -> str:
    return f'<pre style="font-family:monospace">{escape(plain)}</pre>'


def beside(*parts: str) -> str:
    """Parts side by side, or below each other where there is no room."""
    boxes = "".join(f"<div>{part}</div>" for part in parts if part)
    style = "display:flex;flex-wrap:wrap;gap:1em;align-items:flex-start"
    return f'<div style="{style}">{boxes}</div>'


def picture(svg: str, about: str, width: int = 480) -> str:
    """An SVG as an image, in which nothing runs and whose ids are its own."""
    data = base64.b64encode(svg.encode("utf-8")).decode("ascii")
    return (
        f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(about)}" '
        f'style="width:{width}px;max-width:100%;background:#fff">'
    )


def bar(share: float, width: int = 240) -> str:
    """How much of something is done."""
    inner = f"width:{100 * min(max(share, 0), 1):.1f}%;height:100%;background:{BLUE}"
    outer = f"width:{width}px;height:0.8em;margin-top:0.3em;background:#ddd"
    return f'<div style="{outer}"><div style="{inner}"></div></div>'


def curve(
    lines: Sequence[Sequence[tuple[float, float]]], width: int, height: int
) -> str:
    """Points (x, y) as a small SVG: the first line in blue, the others in red, with the
    last point of each and the least and largest y."""
    points = [(x, y) for line in lines for x, y in line if math.isfinite(y)]
    low, high = (side(y for _, y in points) for side in (min, max))
    last = max(x for x, _ in points)
    tall = (high - low) or 1.0

    def place(x: float, y: float) -> str:
        across = 44 + (width - 50) * x / last
        return f"{across:.1f},{6 + (height - 12) * (high - y) / tall:.1f}"

    drawn = []
    for line, colour in zip(lines, (BLUE, RED), strict=False):
        places = [place(x, y) for x, y in line if math.isfinite(y)]
        if not places:
            continue
        x, y = places[-1].split(",")
        path = f'points="{" ".join(places)}" fill="none" stroke="{colour}"'
        drawn.append(f'<polyline {path} stroke-width="1.5"/>')
        drawn.append(f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>')
    for value, down in ((high, 12), (low, height - 4)):
        drawn.append(
            f'<text x="0" y="{down}" font-size="11" font-family="sans-serif" '
            f'fill="#555">{value:.4g}</text>'
        )
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(drawn)}</svg>'
