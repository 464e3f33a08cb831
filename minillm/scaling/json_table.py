"""JSON as a table: an object a line, a list of objects, or an object of columns."""

import json
import re

from minillm.errors import DataError

EXAMPLE = '{"N": 1e4, "loss": 3.2}'
SPACE = re.compile(r"\s*")


def read_json(text: str, source: str) -> tuple[list[str], list[list], list[int]]:
    """The names, the columns, and the line of every row ([] where it has none).

    A key that a row lacks is an empty cell. Raises DataError.
    """
    values = json_values(text, source)
    if len(values) == 1:
        line, value = values[0]
        if isinstance(value, list):
            return *_of_records(value, source, []), []
        columns = _columns(value, source)
        if columns is not None:
            return list(value), columns, []
    lines, records = zip(*values, strict=True)
    return *_of_records(records, source, lines), list(lines)


def json_values(text: str, source: str) -> list[tuple[int, object]]:
    """The values in a text, one or many one after the other, and the line of each.

    Raises DataError.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_object)
    found, line, start = [], 1, SPACE.match(text).end()
    line += text.count("\n", 0, start)
    while start < len(text):
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            line += text.count("\n", start, getattr(error, "pos", start))
            what = str(error).partition(": line ")[0]
            raise DataError(
                f"{source}, line {line}: cannot be read as JSON ({what})"
            ) from None
        found.append((line, value))
        end = SPACE.match(text, end).end()
        line += text.count("\n", start, end)
        start = end
    return found


def _object(pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two keys are called {twice!r}")
    return found


def _of_records(records, source: str, lines) -> tuple[list[str], list[list]]:
    for at, record in enumerate(records):
        if not isinstance(record, dict):
            place = f"line {lines[at]}" if lines else f"row {at + 1}"
            raise DataError(
                f"{source}, {place}: no JSON object; write {EXAMPLE} for each run"
            )
    names = list(dict.fromkeys(name for record in records for name in record))
    if not names:
        raise DataError(f"{source}: no rows; write {EXAMPLE} for each run")
    return names, [[record.get(name) for record in records] for name in names]


def _columns(value, source: str) -> list[list] | None:
    """Columns of an object of lists, or of objects that have one key a row, as a data
    frame writes them; None of another object, which is one row."""
    if not isinstance(value, dict):
        return None
    if "law" in value and isinstance(value.get("parameters"), dict):
        raise DataError(
            f"{source}: a law, as `minillm fit --json` prints it, and no table: give it "
            f"to `minillm plan --law`"
        )
    columns = list(value.values())
    if columns and all(isinstance(column, dict) for column in columns):
        if all(column.keys() == columns[0].keys() for column in columns):
            return [list(column.values()) for column in columns]
    if not columns or not all(isinstance(column, list) for column in columns):
        return None
    lengths = {name: len(column) for name, column in value.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataError(f"{source}: columns differ in length: {counts}")
    return columns if columns[0] else None
