"""CSV: a header line and rows of cells, divided by `,`, `;` or tabs."""

import contextlib
import csv
import re
from collections.abc import Iterator
from itertools import islice

from minillm.errors import DataError
from minillm.laws.written_numbers import MISSING, read_with

DELIMITERS = ",;\t"
# Not str.splitlines, which cuts at characters that a cell may hold, U+2028 for one.
LINES = re.compile(r"[^\r\n]*+(?:\r\n|\n|\r)|[^\r\n]++")
HASH = re.compile(r"[ \t]*#")
SEP = re.compile(r'"?sep=([^\r\n"])"?[ \t]*(?:\r\n|\n|\r|\Z)', re.IGNORECASE)
MOST_SPANS = 6

Record = tuple[int, list[str]]  # the line it begins in, and its cells


def read_delimited(text: str, source: str) -> tuple[list[str], list[Record], list[str]]:
    """The header's cells, the rows, and notes of skipped lines.

    Blank lines are skipped, and lines that begin with #, unless their cells are like
    those of rows: see `_rows_with_hash`. A first line `sep=;`, which spreadsheets
    write, names the delimiter. Raises DataError, which names the source and the line.
    """
    delimiter = None
    if directive := SEP.match(text):
        delimiter, text = directive[1], "\n" + text[directive.end() :]
    delimiter = delimiter or _delimiter(text, source)
    comments: dict[int, str] = {}
    records = list(_records(text, delimiter, source, comments))
    kept = _rows_with_hash(records, comments, delimiter)
    if kept:
        records = list(_records(text, delimiter, source, {}, kept))
    if len(records) < 2:
        what = "only a header" if records else "empty"
        if comments.keys() - kept:
            what += ", and lines that begin with #"
        raise DataError(
            f"{source}: {what}; a table has a header line and a row per run"
        )
    (top, header), *rows = records
    _check_header(header, rows, source, top)
    for line, row in rows:
        if len(row) != len(header):
            more = len(row) > len(header)
            raise DataError(
                f"{source}, line {line}: {len(row)} cells under {len(header)} names"
                + (f"; quote a cell that holds {delimiter!r}" if more else "")
            )
    below = [n for n in comments if n > top and n not in kept]
    like_rows = any(len(_cells(comments[n], delimiter)) == len(header) for n in below)
    return header, rows, [*_skipped(below, like_rows), *_nameless(header, rows)]


def spans(numbers: list[int]) -> str:
    """Line numbers in few words: `line 3`, `lines 2–79, 90`."""
    ends = []
    for number in sorted(numbers):
        if ends and number == ends[-1][1] + 1:
            ends[-1][1] = number
        else:
            ends.append([number, number])
    said = [f"{a}" if a == b else f"{a}–{b}" for a, b in ends]
    if len(said) > MOST_SPANS:
        said = [*said[: MOST_SPANS - 1], "…", said[-1]]
    return f"line{'s' if len(numbers) > 1 else ''} {', '.join(said)}"


def _records(
    text: str, delimiter: str, source: str, comments: dict[int, str], kept=frozenset()
) -> Iterator[Record]:
    """Every record that is not blank. Lines with # at the beginning of a record go into
    `comments`, except those numbered in `kept`."""
    number = start = 0

    def lines():
        nonlocal number, start
        for found in LINES.finditer(text):
            number += 1
            if start == 0:
                if HASH.match(found[0]) and number not in kept:
                    comments[number] = found[0]
                    continue
                start = number
            yield found[0]

    reader = csv.reader(
        lines(), strict=True, delimiter=delimiter, skipinitialspace=True
    )
    while True:
        start = 0
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{source}, line {start or number}: {error}: is a quote open, or too "
                f"many?"
            ) from error
        if any(map(str.strip, cells)):
            yield start, cells


def _delimiter(text: str, source: str) -> str:
    """The mark that divides the first two records into equally many cells, or else the
    first into the most."""

    def fit(delimiter: str):
        widths = []
        with contextlib.suppress(DataError):
            for _, cells in islice(_records(text, delimiter, source, {}), 2):
                widths.append(len(cells))
        widths = widths or [0]
        return min(widths) == max(widths) > 1, widths[0], widths[-1]

    return max(DELIMITERS, key=fit)


def _rows_with_hash(
    records: list[Record], comments: dict[int, str], delimiter: str
) -> set[int]:
    """The numbers of lines that begin with # and are rows.

    Above the other rows: a header whose first cell is # alone. Below the header: a line
    of as many cells, where there are no other rows; or where its first cell is a name
    such as #3 in a column of names, or a spreadsheet's #N/A.
    """
    cells_of = {n: _cells(line, delimiter) for n, line in comments.items()}
    above = _hash_header(records, cells_of)
    records = [*((n, cells_of[n]) for n in above), *records]
    if not records:
        return set()
    (top, header), *rows = records
    in_numbers = read_with([cells[0] for _, cells in rows], ".").bad is None

    def is_row(first: str) -> bool:
        name = re.fullmatch(r"#\d+", first) and not in_numbers
        return not rows or bool(name) or first.lower() in MISSING

    return {
        *above,
        *(
            n
            for n, cells in cells_of.items()
            if n > top and len(cells) == len(header) and is_row(cells[0].strip())
        ),
    }


def _hash_header(records: list[Record], cells_of: dict[int, list[str]]) -> list[int]:
    """The number of a header line whose first cell is #, above all rows; else []."""
    for n, cells in cells_of.items():
        named = cells[0].strip() == "#" and len(cells) > 1 and all(cells)
        first, row = records[0] if records else (n + 1, cells)
        if named and n < first and len(cells) == len(row):
            return [n]
    return []


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter))


def _check_header(
    header: list[str], rows: list[Record], source: str, line: int
) -> None:
    if read_with(header, ".").bad is None:
        raise DataError(
            f"{source}, line {line}: numbers where the columns' names belong; "
            "write a header line such as N,loss (without #)"
        )
    if len(header) == 1:
        if len(rows[0][1]) > 1:
            raise DataError(
                f"{source}, line {line}: one cell, {header[0]!r}, above rows of "
                f"{len(rows[0][1])}: remove it, or put # before a title"
            )
        raise DataError(
            f"{source}: one column, {header[0]!r}; divide cells by commas, ; or tabs"
        )


def _skipped(comments: list[int], like_rows: bool):
    if comments:
        hint = '; quote the first cell of a row that begins so: "#3"'
        yield f"skipped as comments, for their #: {spans(comments)}" + (
            hint if like_rows else ""
        )


def _nameless(header: list[str], rows: list[Record]):
    for column, name in enumerate(header):
        if not name.strip() and any(cells[column].strip() for _, cells in rows):
            yield f"column {column + 1} has no name and was not read"
