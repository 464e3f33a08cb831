"""Table of measured runs, as named columns: from a file, or from Python code.

read_table("runs.csv").numbers("N")    # float64, NaN where a cell is empty
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from minillm.errors import DataError, UsageError
from minillm.laws.delimited import spans
from minillm.laws.quantities import quantity_of
from minillm.laws.runs_file import column_name, named_columns, parse, read_text
from minillm.laws.written_numbers import (
    Reading,
    Unreadable,
    has_any,
    is_empty,
    read_numbers,
    read_with,
)

MOST_REASONS = 4  # that a message names one by one


@dataclass(frozen=True)
class Table:
    """Columns of equal length under their names.

    source: its name in messages. lines: the file's line of every row, if it has one.
    decimal: the decimal mark of its numbers, `.` or `,`; None where each column shows
    it. notes: parts of the file that were not read.
    """

    source: str
    columns: dict[str, Sequence]
    lines: tuple[int, ...] = ()
    decimal: str | None = None
    notes: tuple[str, ...] = ()

    def place(self, row: int) -> str:
        """The place of a row (counted from 0): `runs.csv, line 3`."""
        return f"{self.source}, {place(self.numbered(row))}"

    def numbered(self, row: int) -> dict:
        """The numbers of a row (counted from 0) in records: {"row": counted from 1,
        "line": of the file, where it has one}."""
        line = {"line": self.lines[row]} if self.lines else {}
        return {"row": int(row) + 1, **line}

    def rows(self, rows: np.ndarray) -> "Table":
        """The same table with some of its rows, whose numbers stay as the whole columns
        were read."""
        read = {name: reading.values for name, reading in self._readings.items()}
        columns = {
            name: [column[row] for row in rows]
            for name, column in {**self.columns, **read}.items()
        }
        lines = tuple(self.lines[row] for row in rows) if self.lines else ()
        return replace(self, columns=columns, lines=lines)

    def numbers(self, name: str) -> np.ndarray:
        """A column as float64; an empty cell is NaN (so are NA, null and –).

        Raises UsageError for an unknown column, DataError for text in a cell, and for a
        column such as 1,000 and 2,500, which may be thousands or not.
        """
        return self._read(name).values

    def reading_notes(self, names: Sequence[str]) -> list[str]:
        """Notes of how these columns were read, a sentence each: skipped lines,
        thousands' marks, decimal commas, units."""
        found = [f"{self.source}: {note}" for note in self.notes]
        for name in dict.fromkeys(names):
            reading = self._read(name)
            if (row := reading.example) is not None:
                found.append(
                    f"{self.place(row)}: {name} is {self._cells(name)[row]!r}, read as "
                    f"{reading.values[row]:.12g}"
                )
        return found

    def groups(self, name: str, rows: np.ndarray) -> np.ndarray:
        """The group of each row by its cell in a column of any kind: (rows,), numbered
        from 0 in order of appearance."""
        cells, known = self._cells(name), {}
        texts = [str(cells[row]).strip() for row in rows]
        return np.array([known.setdefault(text, len(known)) for text in texts])

    def usable(
        self,
        y: str,
        sizes: Sequence[str],
        group: str | None = None,
        divisor: str | None = None,
    ) -> tuple[np.ndarray, list[dict]]:
        """The rows (counted from 0) that a fit can use, and the others with reasons.

        They have a finite y, positive and finite sizes, and no empty cell in the
        columns `group` and `divisor`. Raises DataError where there are none.
        """
        measured = self.numbers(y)
        reasons = {
            row: f"{y} is {measured[row]}: missing or diverged"
            for row in np.flatnonzero(~np.isfinite(measured))
        }
        for name in sizes:
            numbers = self.numbers(name)
            for row in np.flatnonzero(~((numbers > 0) & np.isfinite(numbers))):
                reasons.setdefault(row, f"{name} is {_unfit(numbers[row])}")
        for name in filter(None, (group, divisor)):
            for row, cell in enumerate(self._cells(name)):
                if is_empty(cell):
                    reasons.setdefault(row, f"{name} is missing")
        excluded = [
            {**self.numbered(row), "reason": reasons[row]} for row in sorted(reasons)
        ]
        rows = np.array([row for row in range(len(measured)) if row not in reasons])
        if len(rows) == 0:
            raise DataError(
                f"{self.source}: no row has a finite {y} and all of {', '.join(sizes)}:"
                f" {left_out(excluded)}"
            )
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
        name = column_name(name)
        if name not in self.columns:
            known = ", ".join(self.columns)
            raise UsageError(f"{self.source}: no column {name!r}; there are {known}")
        return self.columns[name]

    def _read(self, name: str) -> Reading:
        cells, name = self._cells(name), column_name(name)
        if name not in self._readings:
            try:
                self._readings[name] = read_numbers(
                    cells,
                    self.decimal,
                    lambda: self._has_decimal_commas,
                    small=quantity_of(name) == "loss",
                )
            except Unreadable as error:
                raise DataError(
                    f"{self.place(error.row)}: {name} is {cells[error.row]!r}, which "
                    f"{error}"
                ) from None
        return self._readings[name]

    @cached_property
    def _readings(self) -> dict[str, Reading]:
        return {}

    @cached_property
    def _has_decimal_commas(self) -> bool:
        """Whether a column is of numbers whose decimal mark can only be a comma."""
        return any(
            has_any(cells, ",")
            and read_with(cells, ",").bad is None
            and read_with(cells, ".").bad is not None
            for cells in self.columns.values()
        )


def place(numbered: dict) -> str:
    """A row's place in words: `line 3` of its file, else `row 2`."""
    if "line" in numbered:
        return f"line {numbered['line']}"
    return f"row {numbered['row']}"


def left_out(excluded: list[dict]) -> str:
    """Rows and why they were left out, in a line: `N is 0 (lines 2–79)`."""
    reasons: dict[str, list[dict]] = {}
    for point in excluded:
        reasons.setdefault(point["reason"], []).append(point)
    named = list(reasons.items())
    if len(named) > MOST_REASONS:
        others = [point for _, points in named[MOST_REASONS - 1 :] for point in points]
        named = [*named[: MOST_REASONS - 1], ("for other reasons", others)]
    return "; ".join(f"{reason} ({_spans(points)})" for reason, points in named)


def _spans(points: list[dict]) -> str:
    if all("line" in point for point in points):
        return spans([point["line"] for point in points])
    return spans([point["row"] for point in points]).replace("line", "row")


def _unfit(number: float) -> str:
    """The reason why a number is no size."""
    if np.isnan(number):
        return "missing"
    return "0" if number == 0 else "negative" if number < 0 else "infinite"


def as_table(source: str | os.PathLike | Mapping | Table) -> Table:
    """A Table from a file's path or a mapping of columns (a data frame will do).

    Raises UsageError where columns differ in length, DataError where there are none.
    """
    if isinstance(source, Table):
        return source
    if isinstance(source, str | os.PathLike):
        return read_table(source)
    if not hasattr(source, "keys"):
        kind = type(source).__name__
        raise UsageError(f"a {kind} is no table: give a file or named columns")
    pairs = [(name, np.ravel(source[name]).tolist()) for name in list(source.keys())]
    columns = named_columns(pairs, "the table")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise UsageError(f"columns differ in length: {counts}")
    if not any(lengths.values()):
        raise DataError("the table: has no rows")
    return Table("the table", columns)


def read_table(path: str | os.PathLike, decimal: str | None = None) -> Table:
    """Read a table with a header line, cells divided by `,`, `;` or tabs; or of JSON.

    The text is UTF-8 or UTF-16, which gzip may have packed. JSON is an object a line, a
    list of objects or an object of columns. decimal: the decimal mark, `.` or `,`, of
    all numbers, where columns do not show it.
    Raises DataError for a file that is missing, empty, ragged or no table.
    """
    return table_of(read_text(path), str(Path(path)), decimal)


def table_of(text: str, source: str, decimal: str | None = None) -> Table:
    """The table in a text; `source` is its name in messages. Raises DataError."""
    columns, lines, notes = parse(text, source)
    return Table(source, columns, lines, decimal, notes)
