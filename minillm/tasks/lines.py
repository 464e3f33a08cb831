"""Texts from a file: one a line."""

import os
from collections.abc import Sequence
from pathlib import Path

from minillm.errors import DataError
from minillm.text.corpus import read_text


def read_lines(path: str | os.PathLike) -> dict[int, str]:
    """The lines of a UTF-8 file by their number, counted from 1, without blank ones.

    Raises DataError for a file that cannot be read or holds nothing else.
    """
    text = read_text(Path(path))
    found = numbered(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    if not found:
        raise DataError(f"{path}: holds no text")
    return found


def numbered(texts: Sequence[str]) -> dict[int, str]:
    """Texts by their number, counted from 1, without blank ones."""
    return {n: text.strip() for n, text in enumerate(texts, 1) if text.strip()}
