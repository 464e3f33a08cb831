"""The texts of one file: most files are one text, JSON and tables may hold many."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from minillm import reading
from minillm.errors import DataError
from minillm.text.data_spec import (
    DELIMITED,
    JSON,
    NOTEBOOK,
    Columns,
    Source,
    plain_name,
    suffix_of,
)

# What a text shows by its beginning, where more is learnt of it than its words.
LOOKS = {
    "<!doctype html": "HTML, read with its tags",
    "<html": "HTML, read with its tags",
    "{\\rtf": "RTF, read with its commands; save it as plain text",
    '{"': "looks like JSON, read as it stands; a name in .jsonl has its texts read",
}


def read_text(path: Path) -> str:
    """A file's text exactly as it stands (line endings too), less a byte order mark.

    A name that ends in .gz is unpacked. Raises DataError if it cannot be read, is too
    large, or is no text (with the offset of the first bad byte).
    """
    return reading.decoded(read_bytes(path), str(path))


def read_bytes(path: Path) -> bytes:
    """A file's bytes; those of a file packed by itself (.gz) unpacked. Raises DataError
    where it cannot be read."""
    if plain_name(path.name) == path.name:
        return reading.read_bytes(path, reading.TEXT, pipe=True)
    from minillm.text.sources.archive import unpacked

    return unpacked(path)


@dataclass(frozen=True)
class Texts:
    """The texts of a file, each with the line it begins in, or the file as it stands;
    and in words how it was read, where that is not plain."""

    texts: list[tuple[int, str]]
    note: str = ""
    as_it_stands: bool = False

    def by_path(self, path: str) -> dict[str, str]:
        """The texts of a file at this path as if each were a file of its own."""
        if len(self.texts) == 1:
            ((_, text),) = self.texts
            return {path: text}
        return {f"{path}/{n}": text for n, (_, text) in enumerate(self.texts, 1)}


def texts_of(
    path: str,
    text: str,
    asked: Columns,
    *,
    rows: bool = False,
    name: str | None = None,
) -> Texts:
    """What a file of this path holds: the text itself, the texts of JSON objects, what
    was typed into a notebook, or the column of a table that is `asked` for.

    JSON without a text that is known is read as it stands, and so is a table. With
    `rows` a table with a known header gives its texts, those of a table of labels first
    of all. Raises DataError, with the line and the file's `name`, for JSON that breaks
    off and for a column that is not there.
    """
    suffix = suffix_of(path)
    if suffix in (*JSON, *DELIMITED, NOTEBOOK):
        from minillm.text.sources import formats

        found, note = formats.texts_of(name or path, suffix, text, asked, rows=rows)
        if found is not None:
            return Texts(found, note)
    else:
        beginning = text[:99].lstrip().casefold()
        looks = (told for begin, told in LOOKS.items() if beginning.startswith(begin))
        note = next(looks, "")
    return Texts([(1, text)], note, as_it_stands=True)


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


def is_blank(text: str) -> bool:
    """Whether nothing can be seen of it."""
    return not text or text.isspace()
