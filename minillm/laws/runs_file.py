"""File of a table of runs: from bytes to text, from text to named columns of cells."""

import gzip
import io
import os
import unicodedata
import zlib
from collections.abc import Iterable
from pathlib import Path

from minillm.errors import DataError
from minillm.laws.delimited import read_delimited
from minillm.laws.json_table import read_json
from minillm.reading import MEASUREMENTS, decoded, read_bytes

GZIP = b"\x1f\x8b"


def read_text(path: str | os.PathLike) -> str:
    """The text of a file, UTF-8 or, where its mark says so, UTF-16; gzip is unpacked.

    Raises DataError for a file that is missing or no text.
    """
    path = Path(path)
    if os.path.isdir(path):  # also of a name that is too long
        raise DataError(
            f"{path}: a folder; give a table's file (of a series: `minillm report` or "
            f"`minillm plan`)"
        )
    raw = read_bytes(path, MEASUREMENTS, pipe=True)
    if raw.startswith(GZIP):
        try:
            with gzip.open(io.BytesIO(raw)) as packed:
                raw = packed.read(MEASUREMENTS + 1)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DataError(f"{path}: a damaged gzip file ({error})") from error
        if len(raw) > MEASUREMENTS:
            raise DataError(f"{path}: more than {MEASUREMENTS:,} bytes when unpacked")
    text = decoded(raw, str(path))
    if "\0" in text:
        raise DataError(f"{path}: holds NUL bytes, as UTF-16 does: save it as UTF-8")
    return text


def is_json(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[")


def parse(text: str, source: str) -> tuple[dict[str, list], tuple, tuple]:
    """The columns under their names, the line in which each row begins (() for JSON of
    one value), and notes of parts that were not read. Raises DataError."""
    notes = []
    if is_json(text):
        names, columns, lines = read_json(text, source)
    else:
        names, rows, notes = read_delimited(text, source)
        lines = [line for line, _ in rows]
        columns = map(list, zip(*(cells for _, cells in rows), strict=True))
    named = named_columns(zip(names, columns, strict=True), source)
    return named, tuple(lines), tuple(notes)


def named_columns(pairs: Iterable, source: str) -> dict[str, list]:
    """Columns under their names, without those that have none. Raises DataError."""
    columns = {}
    for name, column in pairs:
        name = column_name(name)
        if name in columns:
            raise DataError(f"{source}: two columns are called {name!r}")
        if name:
            columns[name] = column
    return columns


def column_name(name) -> str:
    """A column's name: é is one character, whichever way it was typed, and a break of
    lines is a space."""
    return unicodedata.normalize("NFC", " ".join(str(name).split()))
