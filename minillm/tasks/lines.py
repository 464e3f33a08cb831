"""Texts from a file: one a line, or in a row of a table."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from minillm.errors import DataError
from minillm.text.archive import read_text
from minillm.text.columns import Source
from minillm.text.text_file import texts_of


def read_lines(
    path: str | os.PathLike, note: Callable[[str], None] | None = None
) -> dict[int, str]:
    """The lines of a UTF-8 file by their number, counted from 1, without blank ones.

    Of a table whose columns are known, or are given as in `reviews.csv:text=title`, and
    of JSON objects they are the texts, by the line they begin in, or by their own
    number where a line holds several; `note(text)` is told so. Raises DataError for a
    file that cannot be read or holds nothing else.
    """
    source = Source.parse(os.fspath(path))
    source.check("text")
    text = read_text(Path(source.path))
    texts = texts_of(source.path, text, source.columns, rows=True)
    if texts.note and note:
        note(f"{source.path}: {texts.note}")
    found = {line: each.strip() for line, each in texts.texts if each.strip()}
    if texts.as_it_stands:
        found = numbered(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    elif len(dict(texts.texts)) < len(texts.texts):
        found = numbered([each for _, each in texts.texts])
    if not found:
        raise DataError(f"{path}: holds no text")
    return found


def numbered(texts: Sequence[str]) -> dict[int, str]:
    """Texts by their number, counted from 1, without blank ones."""
    return {n: text.strip() for n, text in enumerate(texts, 1) if text.strip()}
