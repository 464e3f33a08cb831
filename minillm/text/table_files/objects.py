"""JSON objects as texts: which of their keys are read, and how."""

import json
import math
import re
from collections.abc import Iterator

from minillm.json_files import NotJSON, json_values
from minillm.text.data_spec import ROLES, Columns
from minillm.text.table_files.columns import JOINT, BadRow, Places, choose, joined, told

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
ANSWERING = ("assistant", "gpt", "model", "bot")  # the roles whose turns are answers


def read_values(text: str, hint: str = "") -> Iterator[tuple[int, object]]:
    """Every value of a JSON file and the line it begins in; of an array its elements.

    Raises BadRow for what is no JSON, with a hint at what would be right.
    """
    try:
        yield from json_values(text, elements=True)
    except NotJSON as error:
        raise BadRow(error.begun, f"not JSON ({error}){hint}") from None


class RecordReader:
    """Takes the texts of a kind out of JSON objects, and remembers where from."""

    def __init__(self, kind: str, asked: Columns) -> None:
        self.example = json.dumps(dict.fromkeys(ROLES[kind], "..."))
        self._kind = kind
        self._asked = asked
        self._chosen: dict[tuple[str, ...], list[Places | None]] = {}
        self._n_lists = 0

    def texts(self, line: int, record: dict) -> list[str] | None:
        """The text of each role; None where the keys are none that are known. Raises
        BadRow for a value that is no text."""
        names, values = fields(record)
        if names not in self._chosen:
            self._chosen[names] = choose(names, self._kind, self._asked)
        places = self._chosen[names]
        if None in places:
            return None
        return [
            joined([self._text(line, role, values[n], len(columns)) for n in columns])
            for role, columns in zip(ROLES[self._kind], places, strict=True)
        ]

    def notes(self) -> list[str]:
        """In words, which keys were read, where these are not just those of the kind;
        and what was left out of a value."""
        notes = told(self._kind, self._chosen)
        if self._n_lists:
            notes.append(f"of several answers the first, in {self._n_lists:,} objects")
        return notes

    def _text(self, line: int, role: str, value: object, n_parts: int) -> str:
        if role == "label":
            value = _label(line, value)
        elif value is None and n_parts > 1:
            return ""
        elif isinstance(value, list) and all(isinstance(each, str) for each in value):
            several = role == "target" and len(value) > 1
            self._n_lists += several
            value = value[0] if several else JOINT.join(value)
        if self._kind == "text" and not isinstance(value, str):
            return ""
        if not isinstance(value, str):
            raise BadRow(line, f"the {role} is no text; write {self.example}")
        if half := LONE_SURROGATE.search(value):
            raise BadRow(line, f"the {role} has half a character, {half[0]!r}")
        return value


def fields(record: dict) -> tuple[tuple[str, ...], list]:
    """The names of a record and their values, those of an object inside as `a.b`.

    A conversation, a list of objects with a `role` and a `content`, has two: its last
    answer (`messages.last`) and the turns before it (`messages.before`).
    """
    flat = {}
    for name, value in record.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": each for inner, each in value.items()}
        elif isinstance(value, list) and (turns := _turns(value)):
            last = max(
                (n for n, turn in enumerate(turns) if turn[0] in ANSWERING), default=0
            )
            flat[f"{name}.before"] = "\n".join(text for _, text in turns[:last])
            flat[f"{name}.last"] = turns[last][1]
        else:
            flat[name] = value
    return tuple(flat), list(flat.values())


def _turns(value: list) -> list[tuple[str, str]]:
    """Who says what in a conversation; nothing where it is none."""
    turns = []
    for turn in value:
        if not isinstance(turn, dict):
            return []
        who = turn.get("role", turn.get("from"))
        text = turn.get("content", turn.get("value"))
        if not (isinstance(who, str) and isinstance(text, str)):
            return []
        turns.append((who.casefold(), text))
    return turns


def _label(line: int, value: object) -> object:
    """A number or a boolean as the name of a class: 1 and 1.0 are the same one."""
    if isinstance(value, float):
        if not math.isfinite(value):
            what = f"the label is {json.dumps(value)}; name its class or leave it out"
            raise BadRow(line, what)
        value = int(value) if value.is_integer() else value
    return json.dumps(value) if isinstance(value, bool | int | float) else value
