"""Header of a table: where it stands, and which columns it names.

A header that is taken for a row becomes a class of its own, and a row that is taken for
a header is lost. What is not plain is said, or refused with its line.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from minillm.text.data_spec import ROLES, Columns, example
from minillm.text.table_files.columns import (
    FORMS,
    BadRow,
    Places,
    choose,
    has_columns,
    is_number,
    listed,
    plain,
    told,
)
from minillm.text.table_files.delimited import Row

HIGHEST = 6  # rows among which a header is looked for
FEW = 5  # rows that do not show what a column holds
# The names of the last column of a kind: what a header in the middle has to have.
HEADS = {
    kind: {name for form in list(forms.values())[-1] for name, _ in form}
    for kind, forms in FORMS.items()
}


@dataclass(frozen=True)
class Layout:
    """The rows of a table without its headers; where in them the texts of a kind stand;
    and in words how the table was read, where that is not plain. `width` counts the
    columns."""

    rows: list[Row]
    places: Sequence[Places]
    notes: list[str]
    width: int


def lay_out(
    rows: list[Row], kind: str, asked: Columns, known_labels: Sequence[str] = ()
) -> Layout:
    """Find the header of a table of a kind, and leave it out.

    It is a row among the first ones with the known names of columns, or those `asked`
    for, and may come again further down. Without one the first columns count, or those
    asked for by number; of labels the first row is still a header where its label is on
    no other text, and is none of `known_labels`. Raises BadRow where all this does not
    show what is what.
    """
    if not rows:
        return Layout([], [], [], 0)
    place = _place_of_header(rows, kind, asked)
    named = place is not None
    line, first = rows[place or 0]
    notes = []
    if named or asked:
        places = _found(line, first, kind, asked)
        if named:
            _refuse_twice(line, first, places)
    else:
        _refuse_other_names(line, first, kind)
        places = [(column,) for column in range(len(ROLES[kind]))]
    if place:
        notes.append(f"{_lines(rows[:place])} above the header: not read")
    if not named and kind == "labels" and _labels_itself(rows, places, known_labels):
        place = 0
        notes.append(
            f"line {line:,} ({listed(first)}) is taken for a header, for its label is "
            f"on no other text; if it is a row, put a header above it (text, label)"
        )
    if place is None:
        names, body = [""] * max(len(first), len(places)), rows
        if kind != "labels" or not _has_label_of_another(rows, places):
            notes.append(f"line {line:,} is a row, for it names no columns")
    else:
        names = first
        body, again = _without(rows[place + 1 :], first)
        if again:
            notes.append(f"{_lines(again)}: the header again")
    if len(places) > 1:
        _refuse_another_header(body, kind)
    if not (named or asked):
        _refuse_codes(line, first, body[place is None :], places, kind)
    names = tuple(name.strip() or f"column {n}" for n, name in enumerate(names, 1))
    names = names[: _n_used(rows, places)]
    return Layout(body, places, told(kind, {names: places}) + notes, len(first))


def _n_used(rows: list[Row], places: Sequence[Places]) -> int:
    """The columns up to the last with a text or a part in a row: of empty ones behind
    it nothing is said."""
    read = (n for columns in places for n in columns)
    filled = (n for _, cells in rows for n, cell in enumerate(cells) if cell)
    return max(*read, max(filled, default=0)) + 1


def _place_of_header(rows: list[Row], kind: str, asked: Columns) -> int | None:
    """Which of the first rows names the columns of a kind, or those asked for."""
    for place, (_, cells) in enumerate(rows[:HIGHEST]):
        wanted = {
            plain(name)
            for names in asked.values()
            for name in names
            if not is_number(name, len(cells))
        }
        known = has_columns(cells, kind)
        if known or (
            wanted.intersection(map(plain, cells)) and has_columns(cells, kind, asked)
        ):
            return place
    return None


def _found(line: int, cells: list[str], kind: str, asked: Columns) -> list[Places]:
    """The columns that a header names, or that are asked for by number."""
    places = choose(cells, kind, asked)
    if None in places:
        lacking = dict(zip(ROLES[kind], places, strict=True))
        (name, *_) = [" + ".join(asked[r]) for r in lacking if lacking[r] is None]
        raise BadRow(line, f"no column {name!r}; there are {listed(cells)}")
    return places


def _labels_itself(
    rows: list[Row], places: Sequence[Places], known_labels: Sequence[str]
) -> bool:
    """Whether the label of the first row is its own alone: then it names the column.

    Raises BadRow where this may be chance, as other labels are alone too.
    """
    line, first = rows[0]
    label, *_ = _labels(rows[:1], places)
    body, again = _without(rows[1:], first)
    labels = Counter(_labels(body, places))
    if not (label and body) or label in known_labels or _is_number(label):
        return False
    if label.casefold() in map(str.casefold, labels):
        return False
    if len(again) * FEW > len(body):  # equal rows, by chance or by mistake
        return False
    if all(map(_is_number, labels)):
        return True
    alone = sum(n == 1 for n in labels.values())
    if 0 < alone < len(labels):
        raise BadRow(
            line,
            f"{label!r} is the label of this row alone; if it is a header, name the "
            f"columns text and label; if it is a row, write such a header above it",
        )
    return not alone  # where all are alone, nothing can be learnt


def _has_label_of_another(rows: list[Row], places: Sequence[Places]) -> bool:
    """Whether the first row is plainly no header."""
    label, *others = _labels(rows, places)
    return label in others


def _labels(rows: list[Row], places: Sequence[Places]) -> list[str]:
    ((column, *_),) = places[1:]
    return [_cell(cells, column) for _, cells in rows]


def _without(rows: list[Row], header: list[str]) -> tuple[list[Row], list[Row]]:
    """The rows that are not the header once more, and those that are."""
    names = list(map(plain, header))
    body, again = [], []
    for row in rows:
        (again if _are_names(row[1], names) else body).append(row)
    return body, again


def _are_names(cells: list[str], names: list[str]) -> bool:
    return len(cells) == len(names) and all(
        # A long text is spared the comparison.
        len(cell) < 2 * len(name) + 20 and plain(cell) == name
        for cell, name in zip(cells, names, strict=True)
    )


# What is refused


def _refuse_twice(line: int, cells: list[str], places: Sequence[Places]) -> None:
    """BadRow for a header with two columns of one name, of which one counts."""
    names = list(map(plain, cells))
    for column in (column for columns in places for column in columns):
        if names.count(names[column]) > 1:
            what = f"two columns are called {names[column]!r}; rename one of them"
            raise BadRow(line, what)


def _refuse_other_names(line: int, cells: list[str], kind: str) -> None:
    """BadRow for the header of another kind, and for one that is only half known."""
    (other,) = {"pairs", "labels"} - {kind}
    if has_columns(cells, other):
        raise BadRow(line, f"the columns are those of {other}, not of {kind}")
    if any(choose(cells, kind)):
        raise BadRow(
            line,
            f"a header that names one column only; name {' and '.join(ROLES[kind])}, "
            f"or say which they are: FILE:{example(kind)}",
        )


def _refuse_another_header(rows: list[Row], kind: str) -> None:
    """BadRow for a header in the middle, of other columns than those above."""
    for line, cells in rows:
        heads = not HEADS[kind].isdisjoint(map(str.casefold, cells))
        if heads and has_columns(cells, kind):
            raise BadRow(
                line,
                "a header in the middle; leave out what stands above it, or give files "
                "of other columns one by one",
            )


def _refuse_codes(line, first, rows: list[Row], places, kind: str) -> None:
    """BadRow where columns without known names are numbers or codes, and others, which
    would not be read as texts, are sentences."""
    if len(rows) < FEW:
        return
    texts = places[:1] if kind == "labels" else places
    texts = {column for columns in texts for column in columns}
    columns = [[_cell(cells, n) for _, cells in rows] for n in range(len(first))]
    read = [column for n, column in enumerate(columns) if n in texts]
    others = [column for n, column in enumerate(columns) if n not in texts]
    if any(map(_are_codes, read)) and any(map(_are_texts, others)):
        shown = listed([f"{n + 1} {cell[:20]!r}" for n, cell in enumerate(first)])
        raise BadRow(
            line,
            f"which columns are meant? There are {shown}; name them in a header, or "
            f"say their numbers: FILE:{example(kind, 'NUMBER')}",
        )


def _are_codes(cells: list[str]) -> bool:
    """Numbers, names of things, or a few words again and again: no text."""
    return not any(" " in cell for cell in cells) and (
        all(any(map(str.isdigit, cell)) for cell in cells)
        or len(set(cells)) <= len(cells) // 2
    )


def _are_texts(cells: list[str]) -> bool:
    """Most have several words, and most are unlike all others."""
    n_long = sum(" " in cell for cell in cells)
    return n_long > len(cells) // 2 < len(set(cells))


def _cell(cells: list[str], column: int) -> str:
    return cells[column].strip() if column < len(cells) else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lines(rows: Iterable[Row]) -> str:
    """The numbers of the lines that rows begin in."""
    lines = [f"{line:,}" for line, _ in rows]
    return f"line{'s' * (len(lines) > 1)} {listed(lines)}"
