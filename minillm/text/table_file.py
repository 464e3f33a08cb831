"""Rows of a .tsv, .csv or .jsonl file: two texts each, or a text and its label."""

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from minillm.errors import DataError
from minillm.text.corpus import read_text

# What the two columns, or keys, of each kind may be called; the first is their title.
NAMES = {
    "pairs": (
        ("source", "src", "input", "question", "document", "text"),
        ("target", "tgt", "output", "answer", "summary"),
    ),
    "labels": (("text", "sentence"), ("label", "class")),
}
OFTEN = 5  # times that every label occurs where the first row's is odd
LONGEST = 131_072  # characters of a text: the limit of the csv module

# Delimiter and quoting. In many a .tsv a quote is a character like any other.
READINGS = {
    ".csv": ((",", csv.QUOTE_MINIMAL), (";", csv.QUOTE_MINIMAL)),
    ".tsv": (("\t", csv.QUOTE_MINIMAL), ("\t", csv.QUOTE_NONE)),
}
SUFFIXES = (*READINGS, ".jsonl")
# Not str.splitlines, which cuts at characters that a cell may hold, U+2028 for one.
LINES = re.compile(r"[^\r\n]*+(?:\r\n|\n|\r)|[^\r\n]++")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")

Row = tuple[int, str, str]  # the line it begins in, and its two texts
Reading = tuple[str, int]


class BadRow(Exception):
    """What is wrong in a line of a file."""

    def __init__(self, line: int, what: str):
        super().__init__(f"line {line:,}: {what}")


def read_rows(path: Path, kind: str) -> list[tuple[str, str]]:
    """The rows of a file, in order; white space around a text does not count.

    `kind` is "pairs" or "labels". Raises DataError, naming the line, for what is no row
    of two texts.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(
            f"{path}: a table is a file whose name ends in .tsv, .csv or .jsonl"
        )
    text = read_text(path)
    rows = _json_rows if suffix == ".jsonl" else _cell_rows
    try:
        return [_checked(*row, kind) for row in rows(text, suffix, kind)]
    except BadRow as error:
        raise DataError(f"{path}, {error}") from None


def kind_of(data: str) -> str | None:
    """What the rows of a file seem to be: "labels" where the first names these columns,
    or keys, else "pairs". None where there is no file with the name of a table. Raises
    DataError for one that is not UTF-8."""
    path = Path(data)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES or not os.path.isfile(data):
        return None
    text = read_text(path)
    try:
        if suffix == ".jsonl":
            next(_json_rows(text, suffix, "labels"), None)
            return "labels"
        _, names = next(_cells(text, _reading(text, suffix)), (1, []))
    except BadRow:
        return "pairs"
    return "pairs" if None in _named(names, "labels") else "labels"


def _checked(line: int, first: str, second: str, kind: str) -> tuple[str, str]:
    texts = first.strip(), second.strip()
    for title, text in zip(_titles(kind), texts, strict=True):
        if not text:
            raise BadRow(line, f"the {title} is empty; fill it or leave the row out")
        if "\0" in text:
            raise BadRow(line, f"the {title} holds a NUL byte; save the file as text")
        if len(text) > LONGEST:
            size = f"{len(text):,} of at most {LONGEST:,} characters"
            raise BadRow(line, f"the {title} is too long, {size}; cut it into rows")
    return texts


def _titles(kind: str) -> list[str]:
    return [names[0] for names in NAMES[kind]]


# A table of cells


def _cell_rows(text: str, suffix: str, kind: str) -> Iterator[Row]:
    reading = _reading(text, suffix)
    delimiter, _ = reading
    rows = _cells(text, reading)
    line, header = next(rows, (1, []))
    columns = _columns(line, header, kind)
    if columns is None:
        columns, rows = (0, 1), _cells(text, reading)
        if kind == "labels":
            rows = _without_strange_header(list(rows))
    for line, cells in rows:
        if len(cells) <= max(columns):
            raise BadRow(
                line,
                f"too few cells, {len(cells)}, for {' and '.join(_titles(kind))}; put "
                f"{delimiter!r} between the cells",
            )
        if any(cells[len(header) :]):
            raise BadRow(
                line,
                f"{len(cells)} cells, and {len(header)} in the first row; put quotes "
                f"around a cell that holds {delimiter!r}",
            )
        yield line, cells[columns[0]], cells[columns[1]]


def _reading(text: str, suffix: str) -> Reading:
    """The one that fits a text best."""
    return max(READINGS[suffix], key=lambda reading: _fit(text, reading))


def _without_strange_header(rows: list[tuple[int, list[str]]]):
    """The rows, unless the first is a header of names that are not known here."""
    labels = [cells[1] for _, cells in rows if len(cells) > 1]
    counts = Counter(labels[1:])
    others = min(counts.values(), default=0)
    if others >= OFTEN and counts[labels[0]] == 0 and labels[0].strip():
        line, cells = rows[0]
        raise BadRow(
            line,
            f"{cells[1]!r} is the label of this row alone; if it is a header, name the "
            f"columns {' and '.join(_titles('labels'))}",
        )
    return iter(rows)


def _fit(text: str, reading: Reading) -> tuple:
    """How well a reading fits a text, to be compared.

    Best is one in which all rows have the same number of cells, two or more. Of two the
    one with more rows: in the other, quotes of two rows have met and made one cell of
    all that is between them. Then the one with fewer cells.
    """
    n = width = 0
    even = sound = True
    try:
        for _, cells in _cells(text, reading):
            n += 1
            width = width or len(cells)
            even = even and len(cells) == width
            if width < 2:
                break
    except BadRow:
        sound = False
    return sound and even and width > 1, width > 1, sound, n, -width


def _cells(text: str, reading: Reading) -> Iterator[tuple[int, list[str]]]:
    """Every row that is not blank, and the line it begins in."""
    delimiter, quoting = reading
    reader = csv.reader(
        (match[0] for match in LINES.finditer(text)),
        delimiter=delimiter,
        quoting=quoting,
        skipinitialspace=True,
        strict=True,
    )
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "limit" in str(error):
                what = f"a cell of more than {LONGEST:,} characters; is a quote open?"
            else:
                what = f'broken quotes ({error}); write "so ""quoted"" here"'
            raise BadRow(line, what) from None
        if len(cells) > 1 or "".join(cells).strip():
            yield line, cells


def _columns(line: int, cells: list[str], kind: str) -> tuple[int, int] | None:
    """Where the two texts stand if a row names the columns, else None."""
    found = _named(cells, kind)
    if None not in found:
        names = [cell.strip().casefold() for cell in cells]
        for place in found:
            if names.count(names[place]) > 1:
                what = f"two columns are called {names[place]!r}; rename one of them"
                raise BadRow(line, what)
        return found
    (other,) = set(NAMES) - {kind}
    if None not in _named(cells, other):
        raise BadRow(line, f"the columns are those of {other}, not of {kind}")
    if found != (None, None):
        titles = " and ".join(_titles(kind))
        raise BadRow(line, f"a header that names one column only; name {titles}")
    return None


def _named(names: Sequence[str], kind: str) -> tuple[int | None, int | None]:
    """The places of the two texts of a row among the names of columns, or of keys."""
    plain = [name.strip().casefold() for name in names]
    first, second = (
        next((plain.index(name) for name in known if name in plain), None)
        for known in NAMES[kind]
    )
    return first, second


# An object a line


def _json_rows(text: str, suffix: str, kind: str) -> Iterator[Row]:
    example = json.dumps(dict.fromkeys(_titles(kind), "..."))
    for line, match in enumerate(LINES.finditer(text), 1):
        if not match[0].strip():
            continue
        try:
            record = json.loads(match[0])
        except (ValueError, RecursionError) as error:
            reason = str(error).partition(":")[0].partition(";")[0]
            raise BadRow(line, f"not JSON ({reason}); write {example}") from None
        if not isinstance(record, dict):
            raise BadRow(line, f"no JSON object; write {example}")
        places = _named(list(record), kind)
        if None in places:
            keys = ", ".join(map(repr, islice(record, 5))) or "none"
            raise BadRow(line, f"the keys are {keys}; write {example}")
        values = list(record.values())
        first, second = (values[place] for place in places)
        if kind == "labels" and isinstance(second, bool | int | float):
            second = json.dumps(second)
        for title, value in zip(_titles(kind), (first, second), strict=True):
            if not isinstance(value, str):
                raise BadRow(line, f"the {title} is no text; write {example}")
            if half := LONE_SURROGATE.search(value):
                raise BadRow(line, f"the {title} has half a character, {half[0]!r}")
        yield line, first, second
