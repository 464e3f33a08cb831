"""The door for reading: files that others may have made, as JSON, TOML or text.

Runs, plans, tables and texts are exchanged between people. So a file is looked at
before it is read: it must be a regular file, and no larger than its kind may be. What
is in it is checked before anything is made of it. All that is wrong ends in one line,
a DataError that names the file.
"""

import contextlib
import json
import math
import os
import re
import reprlib
import stat
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minillm.errors import DataError
from minillm.kinds import check

# The most bytes of each kind of file.
MANIFEST = 1 << 16
SETTINGS = 1 << 20
RECORD = 1 << 24  # run.json, plan.json, state.json, a whole series
TOKENIZER = 1 << 28  # a vocabulary of 2^20 needs less
LINES = 1 << 28  # of metrics
MEASUREMENTS = 1 << 26
TEXT = 1 << 34

DEEPEST = 50  # lists in lists
LARGEST = 10**100  # of a whole number
MOST_DOTS = 100  # in a line of TOML: reading a key takes the square of its parts
# Strings and comments of TOML. What is not closed goes on to its end.
NO_KEYS = re.compile(
    r'''"""(?:\\.|[^\\"]|"(?!""))*+"{0,5}|"(?:\\.|[^"\\\n])*+"?'''
    r"""|'''(?:[^']|'(?!''))*+'{0,5}|'[^'\n]*+'?|#[^\n]*+""",
    re.DOTALL,
)
HOLES = 1 << 24  # from this size on, a file must be on the disk, a sixteenth at least
NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # pipes with a name are POSIX's alone
PATIENCE = 2.0  # seconds for somebody to write into a pipe


class Missing(DataError):
    """There is no such file."""


class Damaged(DataError):
    """A file is there, and does not hold what it should."""


def read_bytes(path: str | os.PathLike, most: int, *, pipe: bool = False) -> bytes:
    """What a regular file holds; with `pipe`, also what comes through one.

    Raises Missing, or DataError for what is no file or has more than `most` bytes.
    """
    with _refused(path):
        about = os.stat(path)
        if pipe and stat.S_ISFIFO(about.st_mode):
            content = _through_pipe(path, most)
        else:
            check_file(path, about, most)
            with open(path, "rb", opener=_without_waiting) as file:
                content = file.read() or b""  # None of what has nothing to say yet
    _check_size(path, len(content), most)  # it may have grown
    return content


def check_file(
    path: str | os.PathLike, about: os.stat_result, most: int = TEXT
) -> None:
    """DataError where a file, of which `about` is known, is not to be read."""
    kind = KINDS.get(stat.S_IFMT(about.st_mode), "a device")
    if kind != "a file":
        raise DataError(f"{path}: is {kind}, not a file")
    _check_size(path, about.st_size, most)
    on_disk = 512 * getattr(about, "st_blocks", about.st_size)  # not on Windows
    if about.st_size > HOLES and 16 * on_disk < about.st_size:
        raise DataError(
            f"{path}: {about.st_size:,} bytes, of which only {on_disk:,} are on the "
            f"disk: the rest are holes, and no data"
        )


def read_json(path: str | os.PathLike, most: int = RECORD) -> Any:
    """The value in a JSON file. Raises Missing, Damaged or DataError."""
    return parse_json(read_text(path, most), path)


def read_text(path: str | os.PathLike, most: int) -> str:
    """What a file in UTF-8 holds. Raises Missing, Damaged or DataError."""
    return _decoded(read_bytes(path, most), path)


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


KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


@contextlib.contextmanager
def _refused(path: str | os.PathLike) -> Iterator[None]:
    """Turn what the system says of a file into a DataError."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Missing(f"{path}: No such file or folder") from error
    except (OSError, ValueError) as error:  # a zero byte in the name, for one
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read ({reason})") from error


def _without_waiting(path: str | os.PathLike, flags: int) -> int:
    """For what says it is a file, and waits: /proc/kmsg, or a pipe put there since."""
    return os.open(path, flags | os.O_RDONLY | NO_WAIT)


def _check_size(path: str | os.PathLike, size: int, most: int) -> None:
    if size > most:
        raise DataError(
            f"{path}: {size:,} bytes are too many: such a file has at most {most:,}"
        )


def _decoded(raw: bytes, path: str | os.PathLike, line: int = 0) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = line or raw.count(b"\n", 0, error.start) + 1
        raise Damaged(
            f"{path}: cannot be read: line {line:,}, not UTF-8 (byte "
            f"0x{raw[error.start]:02x})"
        ) from None


def _through_pipe(path: str | os.PathLike, most: int) -> bytes:
    """All that is written into a pipe, up to one byte too many. Raises DataError where
    nobody writes: it would be waited for without end."""
    descriptor = os.open(path, os.O_RDONLY | NO_WAIT)
    with open(descriptor, "rb") as file:
        until = time.monotonic() + PATIENCE
        first = b""
        while not first and time.monotonic() < until:
            try:
                first = os.read(descriptor, 1)
            except BlockingIOError:  # somebody is there who has not written yet
                break
            if not first:
                time.sleep(0.01)
        else:
            if not first:
                raise DataError(f"{path}: is a pipe, and nothing comes through it")
        os.set_blocking(descriptor, True)
        return first + file.read(most + 1 - len(first))
