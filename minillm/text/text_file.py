"""The texts of one file of a corpus: most files are one text, JSON may hold many."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from minillm.errors import DataError
from minillm.text.archive import plain_name
from minillm.text.cells import READINGS, read_cells
from minillm.text.columns import BadRow, choose, joined, listed
from minillm.text.header import HIGHEST, lay_out
from minillm.text.json_values import SUFFIXES as JSON
from minillm.text.json_values import read_values
from minillm.text.records import LONE_SURROGATE, RecordReader, fields

# What a text shows by its beginning, where more is learnt of it than its words.
LOOKS = {
    "<!doctype html": "HTML, read with its tags",
    "<html": "HTML, read with its tags",
    "{\\rtf": "RTF, read with its commands; save it as plain text",
    '{"': "looks like JSON, read as it stands; a name in .jsonl has its texts read",
}
Asked = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Texts:
    """The texts of a file, each with the line it begins in, or the file as it stands;
    and in words how it was read, where that is not plain."""

    texts: list[tuple[int, str]]
    note: str = ""
    as_it_stands: bool = False


def texts_of(
    path: str, text: str, asked: Asked, *, rows: bool = False, name: str | None = None
) -> Texts:
    """What a file of this path holds: the text itself, the texts of JSON objects, what
    was typed into a notebook, or the column of a table that is `asked` for.

    JSON without a text that is known is read as it stands, and so is a table. With
    `rows` a table with a known header gives its texts, those of a table of labels first
    of all. Raises DataError, with the line and the file's `name`, for JSON that breaks
    off and for a column that is not there.
    """
    suffix = Path(plain_name(path)).suffix.lower()
    try:
        if suffix in JSON:
            return _of_json(text, asked, rows)
        if suffix in READINGS:
            return _of_table(text, suffix, asked, rows)
    except BadRow as error:
        raise DataError(f"{name or path}, {error}") from None
    if suffix == ".ipynb":
        return _of_notebook(text)
    beginning = text[:99].lstrip().casefold()
    looks = (told for begin, told in LOOKS.items() if beginning.startswith(begin))
    return _unchanged(text, next(looks, ""))


def _unchanged(text: str, note: str) -> Texts:
    return Texts([(1, text)], note, as_it_stands=True)


def _of_json(text: str, asked: Asked, rows: bool) -> Texts:
    """The texts of objects, or of strings; the first value shows whether there are."""
    found, without, names = [], [], ()
    try:
        for line, value in read_values(text):
            record = {"text": value} if isinstance(value, str) else value
            record = record if isinstance(record, dict) else {}
            if not (found or without):
                names, _ = fields(record)
                reader = RecordReader(
                    "text", asked or (_labelled(names) if rows else {})
                )
            texts = reader.texts(line, record)
            if texts is None and not (found or without):
                break
            if texts and texts[0].strip():
                found.append((line, texts[0]))
            else:
                without.append(f"{line:,}")
    except BadRow:
        if found:  # it breaks off
            raise
    if not found and asked:
        lacking = " + ".join(asked["text"])
        raise BadRow(1, f"no {lacking!r}; there are {listed(names)}")
    if not found:
        keys = f" (its keys are {listed(names)})" if names else ""
        told = f"JSON without a text that is known{keys}, read as it stands"
        return _unchanged(text, f"{told}; FILE:text=KEY names one")
    notes = ["JSON, each text by itself", *reader.notes()]
    if without:
        notes.append(f"left out without a text: line {listed(without)}")
    return Texts(found, "; ".join(notes))


def _of_table(text: str, suffix: str, asked: Asked, rows: bool) -> Texts:
    """A column of a table, or the table as it stands."""
    try:
        _, table = read_cells(text, suffix) if asked or rows else ("", [])
    except BadRow:
        if asked:
            raise
        table = []
    heads = [cells for _, cells in table[:HIGHEST]]
    if rows and not asked:
        asked = next(filter(None, map(_labelled, heads)), {})
    if not asked and not any(None not in choose(head, "text") for head in heads):
        return _unchanged(
            text, "a table, read as it stands; FILE:text=NAME reads a column of it"
        )
    layout = lay_out(table, "text", asked)
    (columns,) = layout.places
    texts = [
        (line, joined([cells[n] for n in columns if n < len(cells)]))
        for line, cells in layout.rows
    ]
    return Texts(texts, "; ".join(layout.notes) or "a table, each text by itself")


def _labelled(names: Sequence[str]) -> Asked:
    """The columns that hold the texts where names are those of a table of labels."""
    texts, labels = choose(names, "labels")
    return {"text": [names[n] for n in texts]} if texts and labels else {}


def _of_notebook(text: str) -> Texts:
    try:
        book = json.loads(text)
        cells = book["cells"] if "cells" in book else book["worksheets"][0]["cells"]
        sources = [cell.get("source", cell.get("input", "")) for cell in cells]
        typed = joined(["".join(source) + "\n" for source in sources])
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return _unchanged(text, "no notebook that is known, read as it stands")
    return Texts(
        [(1, LONE_SURROGATE.sub("\ufffd", typed))],
        "a notebook: what was typed, not what came out",
    )
