"""Control characters made visible: the door to the terminal, to SVG and to HTML.

A text, a label or a name from a file may hold characters that a terminal obeys: they
change colours, the title or the clipboard, or turn the order of letters round. On its
way to a terminal each is shown as its code, `\\x1b`, `\\u202e`. What is piped, or
written to a file, stays as it is.
"""

import json
import os
import re
import sys
import warnings
from typing import TextIO

from minillm.launcher import place

# C0 but tab and newline, DEL, C1, and what Unicode calls Bidi_Control.
OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
# What no XML document may hold, even written as a number (XML 1.0, section 2.2).
NOT_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")


def visible(text: str) -> str:
    """A text in which every character that a terminal would obey is shown as a code."""
    return OBEYED.sub(_code, text)


def fit_for_xml(text: str) -> str:
    """A text that may stand in SVG and HTML, once it is escaped there."""
    return NOT_XML.sub(_code, visible(text))


def visible_json(text: str) -> str:
    """The same JSON, with the codes that JSON has for such characters."""
    return OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def warn(note: str) -> None:
    """Warn who called minillm, at the line that did, each time it does.

    `warnings.warn` tells a text once for each line of code. In a session at the prompt
    every line is line 1 of <stdin>, and a second call would do nothing in silence.
    """
    frame = sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("minillm."):
        frame = frame.f_back
    place = frame.f_code.co_filename, frame.f_lineno
    warnings.warn_explicit(visible(note), UserWarning, *place)


def _code(found: re.Match) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


class Shown:
    """A terminal, to which text goes through `visible`. Rich, which has control codes
    of its own to send, writes to `terminal` (see `console`)."""

    def __init__(self, terminal: TextIO):
        self.terminal = terminal

    def __getattr__(self, name: str):
        return getattr(self.terminal, name)

    def write(self, text: str) -> int:
        self.terminal.write(visible(text))
        return len(text)

    def writelines(self, lines) -> None:
        for line in lines:
            self.write(line)


def shown(stream: TextIO) -> TextIO:
    """The same stream, or, of a terminal, one that shows what it would obey."""
    return Shown(stream) if stream.isatty() else stream


def of_notebook() -> bool:
    """Whether a cell has started this command, as `!minillm train`. What it writes to
    looks like a terminal then, and can draw nothing anew."""
    return "JPY_PARENT_PID" in os.environ  # a kernel has it of its server


def console(*, stderr: bool = False, **options):
    """A Rich console on stdout or stderr: text is printed as it is, without markup or
    highlighting, and made visible for a terminal."""
    from rich.console import Console
    from rich.segment import Segment

    class Visible(Console):
        def print(self, *objects, **kwargs) -> None:
            # Before Rich takes a few of them out.
            super().print(*map(self.fit, objects), **kwargs)

        def fit(self, cell):
            """A text made visible where this is a terminal; anything else as it is."""
            return visible(cell) if terminal and isinstance(cell, str) else cell

        def render(self, renderable, options=None):
            for part in super().render(renderable, options):
                own = part.control or not terminal
                yield part if own else Segment(visible(part.text), part.style)

    stream = sys.stderr if stderr else sys.stdout
    terminal = isinstance(stream, Shown)
    options = {"markup": False, "highlight": False, "emoji": False, **options}
    # A terminal of the launcher, which may send it to a file, or no real one.
    if place()[1] > 1 or of_notebook():
        options["force_terminal"] = False
    file = stream.terminal if terminal else None
    return Visible(file=file, stderr=stderr, **options)


def print_json(record) -> None:
    """One JSON object on one line of stdout, the same bytes for whoever reads it."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    sys.stdout.write((visible_json(text) if sys.stdout.isatty() else text) + "\n")
    sys.stdout.flush()  # or what the disk refuses would be known too late
