"""The rows of a file of cells, .csv or .tsv, whatever stands between the cells."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from minillm.text.table_files.columns import BadRow

WIDEST = 10_000  # cells of a row
LONGEST = 131_072  # characters of a text: the limit of the csv module

# Delimiter and quoting. In many a .tsv a quote is a character like any other.
READINGS = {
    ".csv": [(delimiter, csv.QUOTE_MINIMAL) for delimiter in ",;\t|"],
    ".tsv": [("\t", csv.QUOTE_MINIMAL), ("\t", csv.QUOTE_NONE)],
}
# Not str.splitlines, which cuts at characters that a cell may hold, U+2028 for one.
LINES = re.compile(r"[^\r\n]*+(?:\r\n|\n|\r)|[^\r\n]++")
# A byte order mark stands in the middle where files were put together.
MARKS = re.compile("(?:^|(?<=[\r\n]))\ufeff+")
EXCEL = re.compile("sep=([,;|\t])(?=[\r\n])", re.I)  # its own first line

Row = tuple[int, list[str]]  # the line it begins in, and its cells


@dataclass(frozen=True)
class Attempt:
    """A file as it is read with one delimiter, up to where that fails."""

    delimiter: str
    rows: list[Row]
    problem: BadRow | None

    def fit(self, by_rows: bool) -> tuple:
        """How well it fits the file, to be compared.

        Best is one in which all rows have the same number of cells, two or more, but
        for titles above them, as few as can be. Of two quotings the one with more rows:
        in the other, quotes of two rows have met and made one cell of all that is
        between them. Then the one with fewer cells.
        """
        widths = [len(cells) for _, cells in self.rows] or [0]
        ((width, _),) = Counter(widths).most_common(1)
        titles = widths.index(width)
        even = len(set(widths[titles:])) == 1
        sound = self.problem is None
        rows = len(widths) if by_rows else 0
        return sound and even and width > 1, width > 1, sound, -titles, rows, -width


def read_cells(text: str, suffix: str) -> tuple[str, list[Row]]:
    """The delimiter of a file, and every row that is not blank.

    Raises BadRow for quotes that do not match and a cell without an end.
    """
    text = MARKS.sub("", text)
    readings = READINGS[suffix]
    if told := EXCEL.match(text):
        text = text[told.end() :]
        readings = [(told[1], csv.QUOTE_MINIMAL)]
    likely = [reading for reading in readings if reading[0] in text] or readings[:1]
    attempts = (_attempt(text, *reading) for reading in likely)
    best = max(attempts, key=lambda each: each.fit(by_rows=suffix == ".tsv"))
    if best.problem:
        raise best.problem
    return best.delimiter, best.rows


def _attempt(text: str, delimiter: str, quoting: int) -> Attempt:
    rows = []
    try:
        for row in _cells(text, delimiter, quoting):
            rows.append(row)  # all that come before what is wrong
    except BadRow as problem:
        return Attempt(delimiter, rows, problem)
    return Attempt(delimiter, rows, None)


def _cells(text: str, delimiter: str, quoting: int) -> Iterator[Row]:
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
        if len(cells) > WIDEST:
            raise BadRow(line, f"{len(cells):,} cells, more than a row has: {WIDEST:,}")
        if len(cells) > 1 or "".join(cells).strip():
            yield line, cells
