"""Texts in files that are not one text: JSON, tables, notebooks."""

import json
from collections.abc import Sequence

from minillm.errors import DataError
from minillm.text.data_spec import DELIMITED, JSON, Columns
from minillm.text.table_files.columns import BadRow, choose, has_columns, joined, listed
from minillm.text.table_files.delimited import read_cells
from minillm.text.table_files.header import HIGHEST, lay_out
from minillm.text.table_files.objects import (
    LONE_SURROGATE,
    RecordReader,
    fields,
    read_values,
)

# The texts of a file, each with the line it begins in, or None: it is read as it
# stands; and in words how it was read.
Found = tuple[list[tuple[int, str]] | None, str]


def texts_of(name: str, suffix: str, text: str, asked: Columns, *, rows: bool) -> Found:
    """See `text_file.texts_of`. Raises DataError."""
    try:
        if suffix in JSON:
            return _of_json(text, asked, rows)
        if suffix in DELIMITED:
            return _of_table(text, suffix, asked, rows)
    except BadRow as error:
        raise DataError(f"{name}, {error}") from None
    return _of_notebook(text)


def _of_json(text: str, asked: Columns, rows: bool) -> Found:
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
        return None, f"{told}; FILE:text=KEY names one"
    notes = ["JSON, each text by itself", *reader.notes()]
    if without:
        notes.append(f"left out without a text: line {listed(without)}")
    return found, "; ".join(notes)


def _of_table(text: str, suffix: str, asked: Columns, rows: bool) -> Found:
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
    if not asked and not any(has_columns(head, "text") for head in heads):
        return None, "a table, read as it stands; FILE:text=NAME reads a column of it"
    layout = lay_out(table, "text", asked)
    (columns,) = layout.places
    texts = [
        (line, joined([cells[n] for n in columns if n < len(cells)]))
        for line, cells in layout.rows
    ]
    return texts, "; ".join(layout.notes) or "a table, each text by itself"


def _labelled(names: Sequence[str]) -> Columns:
    """The columns that hold the texts where names are those of a table of labels."""
    texts, labels = choose(names, "labels")
    return {"text": [names[n] for n in texts]} if texts and labels else {}


def _of_notebook(text: str) -> Found:
    try:
        book = json.loads(text)
        cells = book["cells"] if "cells" in book else book["worksheets"][0]["cells"]
        sources = [cell.get("source", cell.get("input", "")) for cell in cells]
        typed = joined(["".join(source) + "\n" for source in sources])
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None, "no notebook that is known, read as it stands"
    text = LONE_SURROGATE.sub("\ufffd", typed)
    return [(1, text)], "a notebook: what was typed, not what came out"
