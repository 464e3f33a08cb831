"""JSON files, and settings in TOML: a file is read, then looked at value by value.

What others may have made is checked before anything is made of it. All that is wrong
ends in one line, a DataError that names the file.
"""

import contextlib
import json
import math
import os
import re
import reprlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minillm.errors import DataError
from minillm.kinds import check
from minillm.reading import LINES, RECORD, SETTINGS, read_bytes

DEEPEST = 50  # lists in lists
LARGEST = 10**100  # of a whole number
MOST_DOTS = 100  # in a line of TOML: reading a key takes the square of its parts
# Strings and comments of TOML. What is not closed goes on to its end.
NO_KEYS = re.compile(
    r'''"""(?:\\.|[^\\"]|"(?!""))*+"{0,5}|"(?:\\.|[^"\\\n])*+"?'''
    r"""|'''(?:[^']|'(?!''))*+'{0,5}|'[^'\n]*+'?|#[^\n]*+""",
    re.DOTALL,
)
SPACE = re.compile(r"[\s\ufeff]*")  # the mark stands where files were put together


class Damaged(DataError):
    """A file is there, and does not hold what it should."""


class NotJSON(ValueError):
    """A text is no JSON: the line in which the value begins that is none, and the line
    of the mistake."""

    def __init__(self, reason: str, begun: int, line: int):
        super().__init__(reason)
        self.begun = begun
        self.line = line


def read_json(path: str | os.PathLike, most: int = RECORD) -> Any:
    """The value in a JSON file. Raises Missing, Damaged or DataError."""
    return parse_json(_decoded(read_bytes(path, most), path), path)


def read_object(
    path: str | os.PathLike, kind: dict | None = None, most: int = RECORD
) -> dict:
    """The object in a JSON file, of a kind as `check` takes it. Raises Missing, Damaged
    or DataError."""
    record = read_json(path, most)
    if not isinstance(record, dict):
        raise Damaged(f"{path}: holds no JSON object")
    try:
        check(record, kind or {})
    except ValueError as error:
        raise Damaged(f"{path}: {error}") from None
    return record


def read_lines(
    path: str | os.PathLike, kind: dict | None = None, most: int = LINES
) -> Iterator[dict]:
    """The object in each line of a file, of a kind as `check` takes it.

    A last line that a crash, or a run still going on, has cut off is left out. Raises
    Missing, Damaged (with the line) or DataError.
    """
    lines = read_bytes(path, most).split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = parse_json(_decoded(line, path, number), path, number)
            check(record, kind or {})
        except Damaged:
            if number < len(lines):
                raise
        except ValueError as error:
            raise Damaged(f"{path}: line {number:,}: {error}") from None
        else:
            yield record


def read_settings(path: str | os.PathLike) -> Any:
    """The value in a file that ends in .json, or else in TOML; it may be a pipe.
    Numbers may be infinite. Raises Missing, Damaged or DataError."""
    text = _decoded(read_bytes(path, SETTINGS, pipe=True), path)
    if Path(path).suffix == ".json":
        return parse_json(text, path, finite=False)
    import tomllib  # not every command has a file to read

    with _not("TOML", path):
        if any(
            line.count(".") > MOST_DOTS for line in NO_KEYS.sub("", text).split("\n")
        ):
            raise ValueError(f"a line of more than {MOST_DOTS} dots")
        values = tomllib.loads(text)
        examine(values, finite=False)
    return values


def parse_json(
    text: str, path: str | os.PathLike, line: int | None = None, *, finite: bool = True
) -> Any:
    """The value of a JSON text, a whole file's or that of a line.

    Raises Damaged, which says where, for what is no JSON, and for what no file has in
    good faith: a key twice, half a character, numbers beyond all measure, lists in
    lists in lists.
    """
    with _not("JSON", path, line):
        value = json.loads(text, object_pairs_hook=distinct)
        examine(value, finite)
    return value


def json_values(text: str, *, elements: bool = False) -> Iterator[tuple[int, Any]]:
    """Every value of a text, and the line it begins in; with `elements`, in place of an
    array what is in it.

    Raises NotJSON for what is no JSON or has a key twice.
    """
    decode = json.JSONDecoder(object_pairs_hook=distinct).raw_decode
    end_of_line = "\n" if "\n" in text else "\r"
    line, counted, place = 1, 0, SPACE.match(text).end()
    in_array = elements and text.startswith("[", place)
    place = SPACE.match(text, place + in_array).end()
    while place < len(text):
        line += text.count(end_of_line, counted, place)
        counted = place
        if in_array and text[place] == "]":
            if text[place + 1 :].strip():
                raise NotJSON("something follows the array", line, line)
            return
        try:
            value, place = decode(text, place)
        except (ValueError, RecursionError) as error:
            at = getattr(error, "pos", place)
            if text[at:].strip():
                mistake = line + text.count(end_of_line, place, at)
                raise NotJSON(reason_of(error), line, mistake) from None
            raise NotJSON("it ends before its last } or ]", line, line) from None
        yield line, value
        place = SPACE.match(text, place).end()
        if in_array and text.startswith(",", place):
            place = SPACE.match(text, place + 1).end()
        elif in_array and not text.startswith("]", place):
            raise NotJSON("the array does not go on here", line, line)
    if in_array:
        raise NotJSON("the array has no end", line, line)


@contextlib.contextmanager
def _not(
    language: str, path: str | os.PathLike, line: int | None = None
) -> Iterator[None]:
    """Turn what a parser says of a text into Damaged."""
    try:
        yield
        return
    except (ValueError, RecursionError) as error:
        reason = reason_of(error)
        line = line or getattr(error, "lineno", None)
    where = f"line {line:,}, " if line else ""
    raise Damaged(f"{path}: cannot be read: {where}not {language} ({reason})")


def reason_of(error: Exception) -> str:
    """Why a parser takes a text for no JSON or TOML."""
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error).partition(";")[0]  # behind it is a hint for programmers


def distinct(pairs: list[tuple[str, Any]]) -> dict:
    """An object of JSON. Raises ValueError where a key is there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {reprlib.repr(twice)} is there twice")
    return found


def examine(value: Any, finite: bool) -> None:
    """ValueError for what a later step would stumble over, whatever it is used for."""
    parts = [value]
    for _ in range(DEEPEST):
        deeper = []
        for part in parts:
            kind = type(part)
            if kind is float:
                if finite and not math.isfinite(part):
                    raise ValueError(f"a number that is not finite, {part}")
            elif kind is str:
                if not part.isascii():
                    _check_characters(part)
            elif kind is int:
                if abs(part) > LARGEST:
                    raise ValueError("a number of more than 100 digits")
            elif kind is list:
                deeper += part
            elif kind is dict:
                deeper += part
                deeper += part.values()
        if not deeper:
            return
        parts = deeper
    raise ValueError(f"nested more than {DEEPEST} deep")


def _check_characters(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = ascii(text[error.start])
        raise ValueError(f"half a character, {half}") from None


def _decoded(raw: bytes, path: str | os.PathLike, line: int = 0) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = line or raw.count(b"\n", 0, error.start) + 1
        raise Damaged(
            f"{path}: cannot be read: line {line:,}, not UTF-8 (byte "
            f"0x{raw[error.start]:02x})"
        ) from None
