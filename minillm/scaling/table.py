"""Measured runs as named columns: from a CSV file, or from what Python code holds."""

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minillm.errors import DataError, UsageError


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
        """A column as float64; an empty cell is NaN, as `nan` and `inf` are themselves.

        Raises UsageError for an unknown column, DataError for text in a cell.
        """
        if name not in self.columns:
            known = ", ".join(self.columns)
            raise UsageError(f"{self.source}: no column {name!r}; there are {known}")
        values = np.empty(len(self.columns[name]))
        for row, cell in enumerate(self.columns[name]):
            try:
                values[row] = math.nan if _is_empty(cell) else float(cell)
            except (TypeError, ValueError):
                raise DataError(
                    f"{self.place(row)}: {name} is {cell!r}, not a number"
                ) from None
        return values


def _is_empty(cell) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


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
    columns = {str(name): np.ravel(source[name]).tolist() for name in names}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise UsageError(f"columns differ in length: {counts}")
    return Table("the table", columns)


def read_table(path: str | os.PathLike) -> Table:
    """Read a CSV file with a header line: UTF-8, commas, blank lines skipped.

    Raises DataError for a file that is missing, empty, not UTF-8 or ragged.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error
    if len(rows) < 2:
        what = "only a header" if rows else "empty"
        raise DataError(f"{path}: {what}; a table has a header line and a row per run")
    header = [name.strip() for name in rows[0][1]]
    for name in header:
        if header.count(name) > 1:
            raise DataError(f"{path}: two columns are called {name!r}")
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise DataError(
                f"{path}, line {line}: {len(row)} cells under {len(header)} names"
            )
    columns = zip(*(row for _, row in rows[1:]), strict=True)
    return Table(
        str(path),
        {name: list(column) for name, column in zip(header, columns, strict=True)},
        tuple(line for line, _ in rows[1:]),
    )
