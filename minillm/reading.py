"""The door for reading: the bytes of files that others may have made, and their text.

Runs, plans, tables and texts are exchanged between people. So a file is looked at
before it is read: it must be a regular file, and no larger than its kind may be. Text
is UTF-8, or UTF-16 and UTF-32 with their mark. Another kind of file is known by its
first bytes; its error tells the way to a text. All that is wrong ends in one line, a
DataError that names the file.
"""

import codecs
import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator

from minillm.errors import DataError, brief

# The most bytes of each kind of file.
MANIFEST = 1 << 16
SETTINGS = 1 << 20
RECORD = 1 << 24  # run.json, plan.json, state.json, a whole series
TOKENIZER = 1 << 28  # a vocabulary of 2^20 needs less
LINES = 1 << 28  # of metrics
MEASUREMENTS = 1 << 26
TEXT = 1 << 34

HOLES = 1 << 24  # from this size on, a file must be on the disk, a sixteenth at least
NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # pipes with a name are POSIX's alone
PATIENCE = 2.0  # seconds for somebody to write into a pipe
KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}
# UTF-32 comes first: its mark is that of UTF-16 and two zeros.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
PANDAS = "save it as JSON lines (pandas: to_json(FILE, orient='records', lines=True))"
# What is inside a zip may have a name of its own.
ZIPPED = {
    b"word/": "a Word document: save it as plain text",
    b"xl/": "an Excel workbook: save its sheet as CSV",
    b"ppt/": "PowerPoint slides: save them as plain text",
    b"application/epub": "an e-book (EPUB): save it as plain text",
    b"application/vnd.oasis": "an OpenDocument file: save it as plain text, or as CSV",
}
PACKED = "packed in a way that is not read: unpack it"
BEGINNINGS = {
    b"%PDF-": "a PDF: save its text (pdftotext)",
    b"PAR1": f"Parquet: {PANDAS}",
    b"ARROW1": f"Arrow: {PANDAS}",
    b"SQLite format 3": "an SQLite database: export its table as CSV",
    b"\xd0\xcf\x11\xe0": "an old Office file: save it as plain text, or as CSV",
    b"\x89HDF": "HDF5: export its texts as JSON lines",
    b"\x93NUMPY": "a NumPy array: give texts",
    b"\x80\x04\x95": "a Python pickle, which is not opened: export it as JSON lines",
    **dict.fromkeys((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF"), "a picture"),
    **dict.fromkeys((b"II*\0", b"MM\0*", b"\0\0\1\0"), "a picture"),
    **dict.fromkeys((b"ID3", b"OggS", b"fLaC"), "a sound"),
    **dict.fromkeys((b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe"), "a program"),
    **dict.fromkeys((b"PK\x03\x04", b"\x1f\x8b", b"BZh"), PACKED),
    **dict.fromkeys((b"\xfd7zXZ\0", b"7z\xbc\xaf\x27\x1c"), PACKED),
    **dict.fromkeys((b"\x28\xb5\x2f\xfd", b"Rar!\x1a\x07"), PACKED),
}


class Missing(DataError):
    """There is no such file."""


class NoTextError(DataError):
    """A file of something else than text; `what` says of what, in words."""

    def __init__(self, name: str, what: str, told: str):
        super().__init__(f"{name}: {told}")
        self.what = what


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


@contextlib.contextmanager
def _refused(path: str | os.PathLike) -> Iterator[None]:
    """Turn what the system says of a file into a DataError."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Missing(f"{brief(path)}: No such file or folder") from error
    except (OSError, ValueError) as error:  # a zero byte in the name, for one
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{brief(path)}: cannot be read ({reason})") from error


def _without_waiting(path: str | os.PathLike, flags: int) -> int:
    """For what says it is a file, and waits: /proc/kmsg, or a pipe put there since."""
    return os.open(path, flags | os.O_RDONLY | NO_WAIT)


def _check_size(path: str | os.PathLike, size: int, most: int) -> None:
    if size > most:
        raise DataError(
            f"{path}: {size:,} bytes are too many: such a file has at most {most:,}"
        )


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


def decoded(raw: bytes, name: str) -> str:
    """Bytes as text. Raises DataError, as NoTextError where they are something else."""
    codec = next((MARKS[mark] for mark in MARKS if raw.startswith(mark)), "utf-8")
    start = len(codecs.BOM_UTF8) if raw.startswith(codecs.BOM_UTF8) else 0
    try:
        text = str(memoryview(raw)[start:], codec)
    except UnicodeDecodeError as error:
        place = start + error.start
        _refuse_known(raw, name)
        told = (
            f"not {codec.upper()}: byte 0x{raw[place]:02x} at offset {place:,}; save "
            f"it as UTF-8 text"
        )
        if 0 in raw and codec == "utf-8":
            raise NoTextError(name, "binary", told) from error
        raise DataError(f"{name}: {told}") from error
    if "\0" in text or text.startswith("%PDF-"):
        _refuse_known(raw, name)
        if text.count("\0") > len(text) // 4:
            told = "looks like UTF-16 without its mark: save it as UTF-8 text"
            raise NoTextError(name, "binary", told)
    return text


def _refuse_known(raw: bytes, name: str) -> None:
    """DataError for what is known by its beginning. What is packed may hold texts, and
    is not passed over as no text."""
    what = next((what for mark, what in BEGINNINGS.items() if raw.startswith(mark)), "")
    if raw[257:262] == b"ustar":
        what = PACKED
    if raw.startswith(b"PK"):
        what = next((told for mark, told in ZIPPED.items() if mark in raw), what)
    if what == PACKED:
        raise DataError(f"{name}: is {what}")
    if what:
        raise NoTextError(name, re.split("[:,] ", what)[0], f"is {what}")
