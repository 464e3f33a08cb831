"""JSON as a table: an object a line, a list of objects, or an object of columns."""

from minillm.errors import DataError
from minillm.json_files import NotJSON, examine, json_values

EXAMPLE = '{"N": 1e4, "loss": 3.2}'


def read_json(text: str, source: str) -> tuple[list[str], list[list], list[int]]:
    """The names, the columns, and the line of every row ([] where it has none).

    A key that a row lacks is an empty cell. Raises DataError.
    """
    values = read_values(text, source)
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


def read_values(text: str, source: str) -> list[tuple[int, object]]:
    """The values in a text, one or many one after the other, and the line of each.

    Raises DataError.
    """
    found = []
    try:
        for line, value in json_values(text):
            examine(value, finite=False)
            found.append((line, value))
    except NotJSON as error:
        raise DataError(
            f"{source}, line {error.line}: cannot be read as JSON ({error})"
        ) from None
    except ValueError as error:
        raise DataError(f"{source}, line {line}: {error}") from None
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
