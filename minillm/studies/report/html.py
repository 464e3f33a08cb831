"""HTML of a page in one file: no script, no font, no network.

Text goes in through `text` or `escape` (`markup.py`), always; these functions return
HTML.
"""

import re
from collections.abc import Iterable

from minillm.figures import COLOURS, svg
from minillm.files import MARK
from minillm.markup import escape, table, text

__all__ = [
    "code",
    "document",
    "escape",
    "listing",
    "paragraph",
    "picture",
    "pictures",
    "section",
    "table",
    "text",
    "tiles",
]
GRID = "#e6e6e6"
# The house colours of a picture follow the page from light to dark.
VARIABLES = {
    **{colour.lower(): f"var(--{name})" for name, colour in COLOURS.items()},
    GRID: "var(--grid)",
}


def document(title: str, body: Iterable[str]) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="generator" content="{MARK}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def paragraph(plain: str, kind: str = "") -> str:
    return f'<p class="{kind}">{text(plain)}</p>' if kind else f"<p>{text(plain)}</p>"


def listing(items: Iterable[str], kind: str = "") -> str:
    rows = "".join(f"<li>{text(item)}</li>" for item in items)
    return f'<ul class="{kind}">{rows}</ul>'


def code(plain: str) -> str:
    return f"<pre><code>{escape(plain)}</code></pre>"


def tiles(found: Iterable[tuple[str, str, str]]) -> str:
    """Numbers at a glance: (name, value, note)."""
    boxes = (
        f"<div><b>{text(value)}</b><span>{text(what)}</span><small>{text(note)}</small>"
        f"</div>"
        for what, value, note in found
    )
    return f'<div class="tiles">{"".join(boxes)}</div>'


def picture(figure, name: str, caption: str) -> str:
    """A matplotlib figure as inline SVG that fills the width.

    name: unique on the page, a prefix of the ids.
    """
    drawn = svg(figure, transparent=True)
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r"<!--.*?-->", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", drawn, count=1)
    drawn = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", drawn, count=1)
    drawn = re.sub(r' id="([^"]+)"', rf' id="{name}-\1"', drawn)
    drawn = re.sub(r'href="#', f'href="#{name}-', drawn)
    drawn = re.sub(r"url\(#", f"url(#{name}-", drawn)
    drawn = re.sub(r"(?<=: )#[0-9a-f]{6}\b", _themed, drawn)
    label = escape(caption)
    drawn = drawn.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    return f"<figure>{drawn.strip()}<figcaption>{text(caption)}</figcaption></figure>"


def pictures(found: Iterable[str]) -> str:
    """Pictures side by side, as many as fit."""
    return '<div class="row">' + "\n".join(found) + "</div>"


def _themed(match: re.Match) -> str:
    colour = match[0]
    mixed = f"color-mix(in srgb, {colour}, white var(--lift))"
    return VARIABLES.get(colour, mixed)


LIGHT = """
--paper: #ffffff; --card: #f6f7f9; --ink: #222222; --soft: #5c6470; --line: #d9dde3;
--grid: #e6e6e6; --black: #222222; --grey: #777777; --blue: #0072b2; --orange: #c98a00;
--green: #009e73; --red: #d55e00; --purple: #b65f92; --sky: #2f95cf; --yellow: #c9b900;
--lift: 0%;"""
DARK = """
--paper: #14171c; --card: #1d2229; --ink: #e8eaed; --soft: #a3abb8; --line: #363d47;
--grid: #2b313a; --black: #e8eaed; --grey: #9aa2ae; --blue: #5ab4ec; --orange: #f0b63d;
--green: #3ccf9f; --red: #ff8a4c; --purple: #e29bc2; --sky: #8ccdf5; --yellow: #f0e442;
--lift: 38%;"""
CSS = f"""
:root {{ color-scheme: light dark; {LIGHT} }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {DARK} }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0 auto; max-width: 54rem; padding: 1.5rem 1rem 4rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.55 system-ui, "Segoe UI", Roboto,
  "Noto Sans", "PingFang SC", "Microsoft YaHei", sans-serif;
  overflow-wrap: anywhere; -webkit-text-size-adjust: 100%; }}
h1 {{ font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem; }}
h2 {{ font-size: 1.2rem; margin: 2.4rem 0 .6rem; padding-top: .6rem;
  border-top: 1px solid var(--line); }}
h3 {{ font-size: 1rem; margin: 1.4rem 0 .4rem; }}
p, ul {{ margin: .5rem 0; }}
ul {{ padding-left: 1.2rem; }}
li {{ margin: .35rem 0; }}
.over {{ color: var(--soft); font-size: .85rem; margin: 0; }}
.quotes {{ list-style: none; padding: 0; }}
.quotes li {{ border-left: 3px solid var(--blue); padding: .1rem 0 .1rem .8rem; }}
.not li {{ border-color: var(--grey); }}
.warnings li {{ border-color: var(--red); }}
.tiles {{ display: grid; gap: .7rem; margin: 1.2rem 0;
  grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); }}
.tiles div {{ background: var(--card); border-radius: .5rem; padding: .7rem .9rem; }}
.tiles b {{ display: block; font-size: 1.35rem; line-height: 1.25; }}
.tiles span, .tiles small {{ display: block; color: var(--soft); font-size: .82rem; }}
figure {{ margin: 1rem 0; }}
figure svg {{ display: block; width: 100%; max-width: 42rem; height: auto;
  overflow: visible; }}
sup {{ line-height: 0; font-size: .75em; }}
figcaption {{ color: var(--soft); font-size: .88rem; margin-top: .3rem; }}
.row {{ display: grid; gap: 0 1.2rem;
  grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); }}
.wide {{ overflow-x: auto; margin: .8rem 0; }}
table {{ border-collapse: collapse; font-size: .88rem; min-width: 100%;
  overflow-wrap: normal; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; color: var(--soft); padding-bottom: .3rem; }}
th, td {{ padding: .3rem .6rem; border-bottom: 1px solid var(--line);
  white-space: nowrap; }}
th {{ color: var(--soft); font-weight: 600; }}
.t {{ text-align: left; }}
.n {{ text-align: right; }}
pre {{ background: var(--card); border-radius: .5rem; padding: .7rem .9rem;
  overflow-x: auto; font-size: .85rem; }}
@media print {{
  :root {{ color-scheme: light; }}
  body {{ max-width: none; padding: 0; font-size: 10pt; }}
  h2 {{ break-after: avoid; }}
  h2 + *, figure, .tiles, li, tr, .wide {{ break-inside: avoid; }}
  figure {{ max-width: 13cm; }}
  .row {{ grid-template-columns: repeat(3, 1fr); }}
  .wide {{ overflow: visible; }}
  table {{ font-size: 8pt; }}
}}
"""
