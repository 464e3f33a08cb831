"""Text decoding: a file's bytes as UTF-8, or as UTF-16 and UTF-32 with their mark.

Another kind of file is known by its first bytes; its error tells the way to a text.
"""

import codecs
import re

from minillm.errors import DataError

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


class NoTextError(DataError):
    """A file of something else than text; `what` says of what, in words."""

    def __init__(self, name: str, what: str, told: str):
        super().__init__(f"{name}: {told}")
        self.what = what


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
