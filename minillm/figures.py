"""Figures: one style for all, and a file that is whole or not there.

    with style():
        figure, axes = new_figure()
        axes.plot(x, y, color=COLOURS["blue"])
        save(figure, "curve.svg")

Matplotlib is imported only when something is drawn, and always here first; pyplot's
state is not touched.
"""

import contextlib
import functools
import io
import logging
import os
import warnings
from pathlib import Path

from minillm.errors import DataError, UsageError
from minillm.files import MARK, replacing, writing
from minillm.visible import fit_for_xml

# Okabe and Ito (2008): distinct for colour-blind readers, and in grey.
COLOURS = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "red": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "yellow": "#F0E442",
    "black": "#222222",
    "grey": "#777777",
}
CYCLE = ["blue", "red", "green", "orange", "purple", "sky"]

# The usual Chinese fonts of Linux, Windows and macOS; those not installed are skipped.
CJK_FONTS = [
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti TC",
    "Arial Unicode MS",
]
FORMATS = {".png": "png", ".svg": "svg"}

# Without a writable home it warns of a slower start.
if not logging.getLogger("matplotlib").level:
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


@contextlib.contextmanager
def style():
    """Draw inside this: the shared settings hold here and are put back afterwards."""
    matplotlib = _matplotlib()
    from cycler import cycler

    settings = {
        "figure.dpi": 100,
        "savefig.dpi": 150,
        # The generic name last, for an SVG opened on another machine.
        "font.family": [*font_families(), "sans-serif"],
        "font.sans-serif": ["DejaVu Sans", "Verdana"],
        "font.size": 11,
        "axes.titlesize": 12,
        "axes.labelsize": 11,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "legend.fontsize": 9.5,
        "legend.frameon": False,
        "axes.titlelocation": "left",
        "axes.titlepad": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": COLOURS["grey"],
        "axes.labelcolor": COLOURS["black"],
        "text.color": COLOURS["black"],
        "xtick.color": COLOURS["grey"],
        "ytick.color": COLOURS["grey"],
        "xtick.labelcolor": COLOURS["black"],
        "ytick.labelcolor": COLOURS["black"],
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#E6E6E6",
        "grid.linewidth": 0.8,
        "lines.linewidth": 2.0,
        "axes.prop_cycle": cycler(color=[COLOURS[name] for name in CYCLE]),
        # Text stays text (searchable, small), and equal figures give equal bytes.
        "svg.fonttype": "none",
        "svg.hashsalt": "minillm",
    }
    with matplotlib.rc_context(settings):
        yield


def _matplotlib():
    """Matplotlib without a `matplotlibrc` of the current folder: it may have come with
    a stranger's data, and can run programs (`text.usetex`). One that MATPLOTLIBRC
    names, or in the user's home, is obeyed."""
    exists = os.path.exists
    # Matplotlib asks for it once, as it is imported, before any other place.
    os.path.exists = lambda path: path != "matplotlibrc" and exists(path)
    try:
        import matplotlib
    finally:
        os.path.exists = exists
    return matplotlib


def new_figure(
    width: float = 6.6, height: float = 4.4, rows: int = 1, columns: int = 1
):
    """A figure of width × height inches and its axes (an array if more than one)."""
    figure = empty_figure(width, height, layout="constrained")
    return figure, figure.subplots(rows, columns)


def empty_figure(width: float, height: float, **options):
    """A figure of width × height inches, which a notebook shows as it is."""
    return _shown_figure()(figsize=(width, height), **options)


@functools.cache
def _shown_figure():
    import matplotlib.figure

    class Figure(matplotlib.figure.Figure):
        """A Figure that needs no `%matplotlib inline`."""

        def _repr_svg_(self) -> str:
            return svg(self)

    return Figure


def log_axis(axis) -> None:
    """Make an x or y axis logarithmic, with ticks written as 10 k, 30 k, 1 M.

    Call it when all is drawn: the ticks depend on the range of the axis.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    low, high = axis.get_view_interval()
    if high < 10 * low:
        ticks = (1, 1.5, 2, 3, 4, 5, 7)
    else:
        ticks = (1, 3) if high < 1e3 * low else (1,)
    axis.set_major_locator(LogLocator(subs=ticks, numticks=12))
    axis.set_minor_formatter(NullFormatter())
    short_ticks(axis)


def short_ticks(axis) -> None:
    """Write an axis's numbers as `short` does."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def short(value: float) -> str:
    """A number in three digits: 9216 -> '9.22 k', 0.012 -> '0.012', 9e-5 -> '90 µ'."""
    size = abs(value)
    if size >= 1e15:
        return f"{value:.3g}".replace("e+", "e")
    # 999.6 would be rounded up to 1e+03: the next larger unit takes it.
    for unit, letter in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if size >= 0.9995 * unit:
            return f"{value / unit:.3g}{letter}"
    if size == 0 or size >= 0.9995e-3:
        return f"{value:.3g}"
    unit, letter = (1e-6, " µ") if size >= 0.9995e-6 else (1e-9, " n")
    return f"{value / unit:.3g}{letter}"


def save(figure, path: str | os.PathLike) -> Path:
    """Write a figure as PNG (150 dots per inch) or SVG, whole or not at all.

    Missing folders are made. Where no installed font has a character, a PNG shows its
    code (`\\u4e2d`), and a note says so (on stderr, unless `logging` sends it
    elsewhere); an SVG keeps the text, and the viewer's fonts draw it.
    Raises UsageError for another suffix and for a place that cannot be written.
    """
    path = Path(path)
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path}: a figure is written as .png or .svg; name it so")
    if kind == "svg":
        content = svg(figure).encode("utf-8")
    else:
        picture = io.BytesIO()
        with _drawing(figure), legible_texts(figure) as unknown:
            figure.savefig(picture, format=kind, metadata={"Software": MARK})
        if unknown:
            _note_unknown(path, unknown)
        content = picture.getvalue()
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except DataError as error:
        raise UsageError(str(error)) from error
    return path


def svg(figure, **options) -> str:
    """A figure as SVG, well-formed whatever its texts hold."""
    picture = io.StringIO()
    metadata = {"Date": None, "Creator": MARK}
    with _drawing(figure):
        figure.savefig(picture, format="svg", metadata=metadata, **options)
    return fit_for_xml(picture.getvalue())


@contextlib.contextmanager
def _drawing(figure):
    """The style, without warnings of letters that no font has. Control characters are
    shown as codes; text that only looks like a formula is drawn as it stands."""
    from matplotlib.mathtext import MathTextParser
    from matplotlib.text import Text

    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        for item in figure.findobj(lambda each: isinstance(each, Text)):
            item.set_text(fit_for_xml(item.get_text()))
            if "$" in item.get_text():
                try:
                    MathTextParser("path").parse(item.get_text())
                except ValueError:
                    item.set_parse_math(False)
        yield


@functools.cache
def font_families() -> tuple[str, ...]:
    """DejaVu Sans (it comes with matplotlib), then the Chinese fonts found here."""
    _matplotlib()
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    return ("DejaVu Sans", *(name for name in CJK_FONTS if name in installed))


@functools.cache
def drawable_characters() -> frozenset[int]:
    """The code points that the fonts of `font_families` can draw between them."""
    _matplotlib()
    from matplotlib import font_manager

    known = set()
    for name in font_families():
        font = font_manager.get_font(font_manager.findfont(name))
        known.update(font.get_charmap())
    return frozenset(known)


def legible(text: str) -> str:
    """The text, with the characters that no installed font has written as codes."""
    known = drawable_characters()
    return "".join(
        c if ord(c) in known or c == "\n" else c.encode("unicode_escape").decode()
        for c in text
    )


@contextlib.contextmanager
def legible_texts(figure):
    """Replace characters that no font has in all texts of a figure, and put them back
    at the end; yields the characters."""
    from matplotlib.text import Text

    texts = [(item, item.get_text()) for item in figure.findobj(Text)]
    changed = [(item, text) for item, text in texts if legible(text) != text]
    for item, text in changed:
        item.set_text(legible(text))
    known = drawable_characters()
    found = dict.fromkeys(c for _, text in changed for c in text if c != "\n")
    try:
        yield [c for c in found if ord(c) not in known]
    finally:
        for item, text in changed:
            item.set_text(text)


def _note_unknown(path: Path, characters: list[str]) -> None:
    shown = " ".join(map(repr, characters[:10])) + " ..." * (len(characters) > 10)
    logging.getLogger("minillm").warning(
        "note: %s: no font here has %s, so the code is drawn: name it .svg, or install "
        "one that has (such as Noto Sans CJK)",
        path,
        shown,
    )
