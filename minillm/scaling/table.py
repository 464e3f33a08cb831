"""Measured runs as named columns: from a CSV file, or from what Python code holds."""

import csv
import io
import math
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minillm.errors import DataError, UsageError
from minillm.reading import MEASUREMENTS, read_bytes

MISSING = ("", "na", "n/a", "null", "none", "-", "–", "—")
COMMENT = re.compile(r"^[ \t]*#[^\r\n]*", re.MULTILINE)
DECIMAL_COMMA = re.compile(r"^(\s*[+-]?\d+),(\d+(?:[eE][+-]?\d+)?\s*)$")


@dataclass(frozen=True)
class Table:
    """Columns of equal length under their names.

    source: what messages call it. lines: the file's line of every row, if it has one.
    """

    source: str
    columns: dict[str, Sequence]
    lines: tuple[int, ...] = ()

    def place(self, row: int) -> str:
        """Where a row (counted from 0) is found: `runs.csv, line 3`."""
        if self.lines:
            return f"{self.source}, line {self.lines[row]}"
        return f"{self.source}, row {row + 1}"

    def numbers(self, name: str) -> np.ndarray:
        """A column as float64; an empty cell is NaN (so are NA, null and –).

        Raises UsageError for an unknown column, DataError for text in a cell.
        """
        cells = self._cells(name)
        values = np.empty(len(cells))
        for row, cell in enumerate(cells):
            try:
                values[row] = math.nan if _is_empty(cell) else float(cell)
            except (TypeError, ValueError):
                raise DataError(
                    f"{self.place(row)}: {name} is {cell!r}, not a number; "
                    "write it as 70e6, or leave the cell empty"
                ) from None
        return values

    def groups(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Which rows have the same cell in a column of any kind: (rows,), numbered from
        0 as they come."""
        cells, known = self._cells(name), {}
        texts = [str(cells[row]).strip() for row in rows]
        return np.array([known.setdefault(text, len(known)) for text in texts])

    def usable(
        self, y: str, needed: Sequence[str], group: str | None = None
    ) -> tuple[np.ndarray, list[dict]]:
        """The rows (counted from 0) that a fit can use, and the others with reasons.

        They have a finite y and no empty cell in the columns `needed` and `group`.
        Raises DataError where there are none.
        """
        measured = self.numbers(y)
        reasons = {
            row: f"{y} is {measured[row]}: missing or diverged"
            for row in np.flatnonzero(~np.isfinite(measured))
        }
        for name in needed:
            for row in np.flatnonzero(np.isnan(self.numbers(name))):
                reasons.setdefault(row, f"{name} is missing")
        for row, cell in enumerate(self._cells(group) if group else ()):
            if _is_empty(cell):
                reasons.setdefault(row, f"{group} is missing")
        rows = np.array([row for row in range(len(measured)) if row not in reasons])
        if len(rows) == 0:
            raise DataError(
                f"{self.source}: no row has a finite {y} and all of {', '.join(needed)}"
            )
        excluded = [
            {"row": int(row) + 1, "reason": reasons[row]} for row in sorted(reasons)
        ]
        return rows, excluded

    def positive(self, name: str, rows: np.ndarray) -> np.ndarray:
        """A column's numbers in these rows. Raises DataError unless finite and > 0."""
        numbers = self.numbers(name)[rows]
        for row, number in zip(rows, numbers, strict=True):
            if not (np.isfinite(number) and number > 0):
                raise DataError(
                    f"{self.place(row)}: {name} is {number:g}; "
                    "a power law needs positive, finite numbers: correct or remove it"
                )
        return numbers

    def _cells(self, name: str) -> Sequence:
        """A column as it was read. Raises UsageError for an unknown one."""
        name = unicodedata.normalize("NFC", name)
        if name not in self.columns:
            known = ", ".join(self.columns)
            raise UsageError(f"{self.source}: no column {name!r}; there are {known}")
        return self.columns[name]


def _is_empty(cell) -> bool:
    if isinstance(cell, str):
        return cell.strip().lower() in MISSING
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def as_table(source: str | os.PathLike | Mapping | Table) -> Table:
    """A Table from a CSV file's path or a mapping of columns (a data frame will do).

    Raises UsageError where columns differ in length.
    """
    if isinstance(source, Table):
        return source
    if isinstance(source, str | os.PathLike):
        return read_table(source)
    if not hasattr(source, "keys"):
        kind = type(source).__name__
        raise UsageError(f"a {kind} is no table: give a CSV file or named columns")
    names = list(source.keys())
    columns = {_name(name): np.ravel(source[name]).tolist() for name in names}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise UsageError(f"columns differ in length: {counts}")
    return Table("the table", columns)


def read_table(path: str | os.PathLike) -> Table:
    """Read a table with a header line: UTF-8, cells divided by `,`, `;` or tabs.

    Blank lines and lines that begin with # are skipped, columns without a name too. In
    a table divided by `;`, 1,5 is a number.
    Raises DataError for a file that is missing, empty, not UTF-8 or ragged.
    """
    path = Path(path)
    try:
        text = read_bytes(path, MEASUREMENTS, pipe=True).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 at byte {error.start}: save it so"
        ) from error
    # Made blank, not taken out, so that lines keep their numbers.
    text = COMMENT.sub("", text)
    delimiter = _delimiter(text)
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    try:
        rows = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error
    if len(rows) < 2:
        what = "only a header" if rows else "empty"
        raise DataError(f"{path}: {what}; a table has a header line and a row per run")
    header = [_name(name) for name in rows[0][1]]
    if all(_is_number(name) for name in header):
        raise DataError(
            f"{path}, line {rows[0][0]}: numbers where the columns' names belong; "
            "write a header line such as N,loss (without #)"
        )
    if len(header) == 1:
        raise DataError(
            f"{path}: one column, {header[0]!r}; divide cells by commas, ; or tabs"
        )
    for name in header:
        if name and header.count(name) > 1:
            raise DataError(f"{path}: two columns are called {name!r}")
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise DataError(
                f"{path}, line {line}: {len(row)} cells under {len(header)} names"
            )
    cells = [row for _, row in rows[1:]]
    if delimiter == ";":
        cells = [[DECIMAL_COMMA.sub(r"\1.\2", cell) for cell in row] for row in cells]
    columns = zip(header, zip(*cells, strict=True), strict=True)
    return Table(
        str(path),
        {name: list(column) for name, column in columns if name},
        tuple(line for line, _ in rows[1:]),
    )


def _delimiter(text: str) -> str:
    """What divides the cells of the header line, outside quotes."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    unquoted = re.sub(r'"[^"]*"', "", header)
    return max(",;\t", key=unquoted.count)


def _name(name) -> str:
    """A column's name: é is one character, whichever way it was typed."""
    return unicodedata.normalize("NFC", str(name).strip())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
