"""JSON as a table: an object a line, a list of objects, or an object of columns."""

import json
import re

from minillm import reading
from minillm.errors import DataError
from minillm.reading import distinct

EXAMPLE = '{"N": 1e4, "loss": 3.2}'
SPACE = re.compile(r"\s*")


def read_json(text: str, source: str) -> tuple[list[str], list[list], list[int]]:
    """The names, the columns, and the line of every row ([] where it has none).

    A key that a row lacks is an empty cell. Raises DataError.
    """
    values = json_values(text, source)
    lines, records = map(list, zip(*values, strict=True))
    if len(values) == 1 and isinstance(records[0], list):
        lines, records = [], records[0]
    elif len(values) == 1 and isinstance(records[0], dict):
        columns = columns_of(records[0])
        if columns is not None:
            return list(records[0]), columns, []
        if "law" in records[0] and "parameters" in records[0]:
            raise DataError(
                f"{source}: a law, as `minillm fit --json` prints it, and no table: "
                f"give it to `minillm plan --law`"
            )
        if any(isinstance(value, list | dict) for value in records[0].values()):
            raise DataError(
                f"{source}: one JSON object, and no columns of one length; write "
                f"{EXAMPLE} for each run"
            )
    for at, record in enumerate(records):
        if not isinstance(record, dict):
            place = f"line {lines[at]}" if lines else f"row {at + 1}"
            raise DataError(
                f"{source}, {place}: no JSON object; write {EXAMPLE} for each run"
            )
    names = list(dict.fromkeys(name for record in records for name in record))
    if not names:
        raise DataError(f"{source}: no rows; write {EXAMPLE} for each run")
    return names, [[record.get(name) for record in records] for name in names], lines


def json_values(text: str, source: str) -> list[tuple[int, object]]:
    """The values in a text, one or many one after the other, and the line of each.

    Raises DataError.
    """
    decoder = json.JSONDecoder(object_pairs_hook=distinct)
    found, line, start = [], 1, SPACE.match(text).end()
    line += text.count("\n", 0, start)
    while start < len(text):
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            at = getattr(error, "pos", start)
            what = str(error).partition(": line ")[0]
            if isinstance(error, RecursionError):
                what = "nested too deeply"
            if not text[at:].strip():
                what = "it ends before its last } or ]"
            else:
                line += text.count("\n", start, at)
            raise DataError(
                f"{source}, line {line}: cannot be read as JSON ({what})"
            ) from None
        try:
            reading.examine(value, finite=False)
        except ValueError as error:
            raise DataError(f"{source}, line {line}: {error}") from None
        found.append((line, value))
        end = SPACE.match(text, end).end()
        line += text.count("\n", start, end)
        start = end
    return found


def columns_of(value: dict) -> list[list] | None:
    """The columns of an object of lists, or of objects with one key for each row, as a
    data frame writes them; None of another object."""
    columns = [
        list(column.values()) if isinstance(column, dict) else column
        for column in value.values()
    ]
    if not columns or not all(isinstance(column, list) for column in columns):
        return None
    if len({len(column) for column in columns}) > 1 or not columns[0]:
        return None
    keys = [column.keys() for column in value.values() if isinstance(column, dict)]
    return columns if all(each == keys[0] for each in keys) else None
