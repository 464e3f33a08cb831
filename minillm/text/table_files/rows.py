"""Rows of a file: two texts each, or a text and its label."""

import os
from collections.abc import Sequence
from pathlib import Path

from minillm.errors import DataError
from minillm.text.data_spec import (
    DELIMITED,
    JSON,
    ROLES,
    Source,
    example,
    suffix_of,
)
from minillm.text.table_files.columns import BadRow, has_columns, listed, plain, taker
from minillm.text.table_files.delimited import LONGEST, read_cells
from minillm.text.table_files.header import HIGHEST, lay_out
from minillm.text.table_files.objects import RecordReader, fields, read_values
from minillm.text.text_file import read_text

SUFFIXES = (*DELIMITED, *JSON)
KINDS = ("labels", "pairs", "text")  # in this order a file is taken for one

Texts = tuple[int, str, str]  # the line they begin in, and the two texts of a row


def read_rows(
    source: Source, kind: str, known_labels: Sequence[str] = ()
) -> tuple[list[tuple[str, str]], list[str]]:
    """The rows of a file, in order; and in words how it was read, where that is not
    plain. White space around a text does not count.

    `kind` is "pairs" or "labels". Raises DataError, naming the line, for what is no row
    of two texts, UsageError for columns of another kind.
    """
    source.check(kind)
    path = Path(source.path)
    suffix = suffix_of(path.name)
    if suffix not in SUFFIXES:
        raise DataError(
            f"{path}: a table is a file whose name ends in .tsv, .csv or .jsonl"
        )
    text = read_text(path)
    try:
        if suffix in JSON:
            rows, notes = _json_rows(text, kind, source.columns)
        else:
            rows, notes = _cell_rows(text, suffix, kind, source.columns, known_labels)
        rows = [_checked(*row, kind) for row in rows]
    except BadRow as error:
        raise DataError(f"{path}, {error}") from None
    return rows, [f"{path.name}: {'; '.join(notes)}"] if notes else []


def kind_of(data: str) -> str | None:
    """What a file seems to hold, by the columns that are named in it or asked for:
    "labels", "pairs" or "text". None where there is no file with the name of a table.
    Raises DataError for one that is no text."""
    source = Source.parse(data)
    suffix = suffix_of(source.path)
    if suffix not in SUFFIXES or not os.path.isfile(source.path):
        return None
    asked = [kind for kind in KINDS if set(source.columns) == set(ROLES[kind])]
    if asked:
        return asked[0]
    text = read_text(Path(source.path))
    usual = "text" if suffix in JSON else "pairs"
    try:
        if suffix in JSON:
            first = next((value for _, value in read_values(text)), None)
            heads = [fields(first)[0]] if isinstance(first, dict) else []
        else:
            heads = [cells for _, cells in read_cells(text, suffix)[1][:HIGHEST]]
    except BadRow:
        return usual
    kinds = [
        kind
        for kind in (KINDS if suffix in JSON else KINDS[:2])
        if any(has_columns(head, kind) for head in heads)
    ]
    names = {plain(name) for head in heads for name in head}
    if kinds[:2] == ["labels", "pairs"] and names.isdisjoint(("label", "class")):
        return "pairs"  # such as a question, its answer, and a rating
    return kinds[0] if kinds else usual


def _cell_rows(
    text: str, suffix: str, kind: str, asked, known_labels
) -> tuple[list[Texts], list[str]]:
    delimiter, rows = read_cells(text, suffix)
    layout = lay_out(rows, kind, asked, known_labels)
    last = max((n for columns in layout.places for n in columns), default=0)
    takers = [taker(columns) for columns in layout.places]
    found = []
    for line, cells in layout.rows:
        if len(cells) <= last:
            raise BadRow(
                line,
                f"too few cells, {len(cells)}, for {' and '.join(ROLES[kind])}; put "
                f"{delimiter!r} between the cells",
            )
        if any(cells[layout.width :]):
            raise BadRow(
                line,
                f"{len(cells)} cells, and {layout.width} in the first row; put quotes "
                f"around a cell that holds {delimiter!r}",
            )
        found.append((line, *[take(cells) for take in takers]))
    return found, layout.notes


def _json_rows(text: str, kind: str, asked) -> tuple[list[Texts], list[str]]:
    reader = RecordReader(kind, asked)
    found = []
    for line, value in read_values(text, f"; write {reader.example}"):
        if not isinstance(value, dict):
            raise BadRow(line, f"no JSON object; write {reader.example}")
        texts = reader.texts(line, value)
        if texts is None:
            keys = listed(list(map(repr, fields(value)[0]))) or "none"
            raise BadRow(
                line,
                f"the keys are {keys}; write {reader.example}, or say which are meant: "
                f"FILE:{example(kind)}",
            )
        found.append((line, *texts))
    return found, reader.notes()


def _checked(line: int, first: str, second: str, kind: str) -> tuple[str, str]:
    texts = first.strip(), second.strip()
    for title, text in zip(ROLES[kind], texts, strict=True):
        if not text:
            raise BadRow(line, f"the {title} is empty; fill it or leave the row out")
        if "\0" in text:
            raise BadRow(line, f"the {title} holds a NUL byte; save the file as text")
        if len(text) > LONGEST:
            size = f"{len(text):,} of at most {LONGEST:,} characters"
            raise BadRow(line, f"the {title} is too long, {size}; cut it into rows")
    return texts
