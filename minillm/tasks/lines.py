"""Texts from a file: one a line."""

from pathlib import Path

from minillm.errors import DataError
from minillm.text.corpus import read_text


def read_lines(path: str | Path) -> dict[int, str]:
    """The lines of a UTF-8 file by their number, counted from 1, without blank ones.

    Raises DataError for a file that cannot be read or holds nothing else.
    """
    text = read_text(Path(path))
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = {n: line.strip() for n, line in enumerate(lines, 1) if line.strip()}
    if not found:
        raise DataError(f"{path}: holds no text")
    return found
