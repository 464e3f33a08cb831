"""The three streams of a process, made fit for whatever is at their other ends."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

from minillm.visible import shown


@contextlib.contextmanager
def ready() -> Iterator[None]:
    """Text is Unicode, also under LC_ALL=C and on a console with an old code page; and
    nothing is asked of a stream that is closed, or of a terminal of no width. What is
    said on stderr inside the block never decides how the command ends."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # Else the next file to be opened, of a run's perhaps, took its number.
            nothing = os.open(os.devnull, os.O_RDWR)
            setattr(
                sys, name, os.fdopen(nothing, "w" if number else "r", closefd=False)
            )
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if os.environ.get("COLUMNS") == "0":  # said where nobody knows
        del os.environ["COLUMNS"]
    with (
        contextlib.redirect_stdout(shown(sys.stdout)),
        contextlib.redirect_stderr(shown(Lasting(sys.stderr))),
    ):
        yield


class Lasting:
    """A stream that goes on in silence where its reader has left or its disk is full:
    hours of training do not end because nobody looks at their progress."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, function: Callable, *args) -> None:
        try:
            function(*args)
        except OSError:
            # What is still in a buffer goes there too, else Python fails at its exit.
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self._stream.fileno())
            os.close(nothing)
