"""Kinds of values: what a record that was read from a file may hold, and where.

RUN = {"seed": COUNT, "labels?": [str], "status": ("running", "finished")}
check({"seed": -1, "status": "running"}, RUN)    # ValueError: seed must be a …
"""

import reprlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Number:
    """A kind of value: a number from `low` to `high`; `whole`: 3, and not 3.0."""

    low: float = -1e30
    high: float = 1e30
    whole: bool = False

    def holds(self, value: Any) -> bool:
        number = type(value) is int or (type(value) is float and not self.whole)
        return number and self.low <= value <= self.high

    def __str__(self) -> str:
        name = "a whole number" if self.whole else "a number"
        return f"{name} from {self.low:.4g} to {self.high:.4g}"


NUMBER = Number()
PERPLEXITY = Number(0, 1e308)
AMOUNT = Number(0, 2**62)  # a count, which may be written 1e6
POSITIVE = Number(low=1e-30)
NOT_NEGATIVE = Number(low=0)
COUNT = Number(0, 2**63 - 1, whole=True)
NAMES = {str: "text", bool: "true or false", dict: "an object", list: "a list"}


def check(value: Any, kind: Any, place: str = "") -> None:
    """Raise ValueError, which says where, unless a value is of a kind.

    A kind is a Number; a type; a tuple of the values there may be; a list with the kind
    of every item; or a dict of names with their kinds. A name that ends in "?" may be
    missing or null; `str` as a name is for all names. A list of two kinds or more is
    for so many items.
    """
    told = kind
    if isinstance(kind, Number):
        good = kind.holds(value)
    elif isinstance(kind, tuple):
        good = any(type(value) is type(one) and value == one for one in kind)
        told = f"one of {', '.join(map(str, kind))}"
    else:
        of = kind if isinstance(kind, type) else type(kind)
        good, told = isinstance(value, of), NAMES.get(of, "")
        if isinstance(kind, list) and len(kind) > 1:
            good, told = good and len(value) == len(kind), f"{told} of {len(kind)}"
    if not good:
        name = f"{place} must be" if place else "it must hold"
        raise ValueError(f"{name} {told}, got {reprlib.repr(value)}")
    if isinstance(kind, list):
        for number, item in enumerate(value):
            check(item, kind[number % len(kind)], f"{place}[{number}]")
    elif isinstance(kind, dict):
        before = f"{place}." if place else ""
        for name, inner in kind.items():
            _check_named(value, name, inner, before)


def _check_named(record: dict, name: str | type, kind: Any, before: str) -> None:
    if name is str:
        for key, value in record.items():
            check(value, kind, before + reprlib.repr(key).strip("'"))
        return
    key = name.removesuffix("?")
    if record.get(key) is not None:
        check(record[key], kind, before + key)
    elif key == name:
        raise ValueError(f"{before}{key} is missing")
