"""Numbers as people write them into a table: 1,234,567 or 2,5 or 70B, by the column.

A comma may mark decimals or thousands, and so may a point: the reading that fits all
cells of the column is taken. Where both fit and differ, as in a column of 1,000 and
2,500, nothing is read.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from minillm.errors import option

MISSING = frozenset(
    [
        *("", "na", "n/a", "<na>", "null", "none", "-", "–", "—", "−"),
        *("#n/a", "#div/0!", "#num!", "#value!", "#ref!", "#name?", "#null!"),
    ]
)
MARKS = {".": ",", ",": "."}  # a decimal mark, and that of thousands beside it
SPACES = " '’_\u00a0\u2009\u202f"  # marks of thousands beside either decimal mark
UNITS = {"k": 3, "K": 3, "M": 6, "G": 9, "B": 9, "T": 12, "%": -2}  # powers of ten
MINUS = str.maketrans("−﹣－", "---")


class Unreadable(ValueError):
    """A cell that is no number, in the row `row` (from 0)."""

    def __init__(self, row: int, what: str):
        super().__init__(what)
        self.row = row


@dataclass(frozen=True)
class Reading:
    """A column read with one decimal mark.

    values: float64, NaN where a cell is empty. bad: the first row (from 0) that this
    mark does not fit. example: the first row that is not written plainly.
    """

    values: np.ndarray
    bad: int | None = None
    example: int | None = None


def is_empty(cell) -> bool:
    """Whether a cell holds no value: it is blank, NaN, or says NA, null, – or #N/A."""
    if isinstance(cell, float):
        return math.isnan(cell)
    return cell is None or str(cell).strip().lower() in MISSING


def read_numbers(
    cells: Sequence,
    decimal: str | None = None,
    suspect: Callable[[], bool] = lambda: False,
    *,
    small: bool = False,
) -> Reading:
    """Read a column with the decimal mark that fits all its cells.

    decimal: the mark, where it is known. suspect: whether the table has decimal commas
    elsewhere, so that 1.000 may well be a thousand. small: no number is a thousand or
    more, as of losses. Raises Unreadable.
    """
    marks = [decimal] if decimal else MARKS if has_any(cells, MARKS) else "."
    readings = [read_with(cells, mark) for mark in marks]
    fitting = [reading for reading in readings if reading.bad is None]
    if not fitting:
        raise _misfit(cells, [reading.bad for reading in readings])
    _check_percent(cells)
    one, other = (reading.values for reading in (fitting[0], fitting[-1]))
    differ = np.flatnonzero((one != other) & ~np.isnan(one))
    if len(differ) and (has_any(cells, ",") or suspect()):
        row = int(differ[0])
        if small:
            return fitting[0] if one[row] < other[row] else fitting[-1]
        raise Unreadable(
            row,
            f"can be {one[row]:.12g} or {other[row]:.12g}: name the decimal mark "
            f"({option('decimal', '.')} or {option('decimal', ',')}), or leave out "
            f"the marks of thousands",
        )
    return fitting[0]


def read_with(cells: Sequence, decimal: str) -> Reading:
    """Read a column with a decimal mark, `.` or `,`, up to a cell it misfits."""
    values, example = np.full(len(cells), math.nan), None
    for row, cell in enumerate(cells):
        if is_empty(cell):
            continue
        value, plain = _number(cell, decimal)
        if value is None:
            return Reading(values, bad=row)
        values[row] = value
        if example is None and not plain:
            example = row
    return Reading(values, example=example)


def has_any(cells: Sequence, marks) -> bool:
    texts = [cell for cell in cells if isinstance(cell, str)]
    return any(mark in text for mark in marks for text in texts)


def _number(cell, decimal: str) -> tuple[float | None, bool]:
    """A cell's number or None, and whether it is written plainly."""
    if not isinstance(cell, str):
        try:
            return (None if isinstance(cell, bool) else float(cell)), True
        except (TypeError, ValueError, OverflowError):
            return None, False
    text = cell.strip().translate(MINUS)
    if decimal == "." or "." not in text:
        try:
            return float(text), True
        except ValueError:
            pass
    found = _pattern(decimal).fullmatch(text)
    if found is None:
        return None, False
    digits = re.sub(f"[{SPACES}{MARKS[decimal]}]", "", found["digits"])
    power = found["power"] or UNITS.get(found["unit"], 0)
    return float(f"{digits.replace(decimal, '.')}e{power}"), False


@cache
def _pattern(decimal: str) -> re.Pattern:
    """Digits, with marks of thousands and a unit, or with a power of ten."""
    point, mark = re.escape(decimal), rf"[{MARKS[decimal]}{SPACES}]"
    grouped = rf"[1-9]\d{{0,2}}(?P<mark>{mark})\d{{3}}(?:(?P=mark)\d{{3}})*"
    plain = rf"(?:\d+{point}?\d*|{point}\d+)"
    # 1,000e3 has a decimal comma: where powers are written, thousands are not marked.
    return re.compile(
        rf"(?P<digits>[+-]?(?:{grouped}(?:{point}\d*)?(?![eE\d])|{plain}))"
        rf"(?:[eE](?P<power>[+-]?\d+)|\s*(?P<unit>[{''.join(UNITS)}]))?"
    )


def _misfit(cells: Sequence, bad: list[int]) -> Unreadable:
    """The reason why no mark fits all cells, by the first misfit of each."""
    for row in sorted(bad):
        if len(bad) == 1 or all(_number(cells[row], m)[0] is None for m in MARKS):
            what = "is not a number; write it as 70e6 or 70M, or leave the cell empty"
            return Unreadable(row, what)
    other = cells[min(bad)]
    return Unreadable(max(bad), f"has another decimal mark than {other!r}")


def _check_percent(cells: Sequence) -> None:
    """Raises Unreadable where only some of the numbers are percentages."""
    with_sign = [isinstance(cell, str) and cell.strip()[-1:] == "%" for cell in cells]
    if not any(with_sign):
        return
    for row, cell in enumerate(cells):
        if not (with_sign[row] or is_empty(cell)):
            raise Unreadable(row, "has no %, as others of its column have")
