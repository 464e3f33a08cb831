"""Corpora: a text in two parts, one to train on and one to validate."""

import codecs
import difflib
import hashlib
import os
import platform
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

from minillm.errors import DataError
from minillm.reading import TEXT, read_bytes
from minillm.text.archive import is_archive, read_archive
from minillm.text.catalogue import catalogue, fetch
from minillm.text.generated import GENERATED, TOYS, generated, generated_task
from minillm.text.known import KnownText
from minillm.text.stdlib import fit_for_validation, standard_library
from minillm.text.toys.toy import Toy

_EMPTY_LINES = re.compile(r"\n[ \t\r]*\n\s*")
# What is no UTF-8 may be told by the bytes it begins with. UTF-32 comes first: its mark
# is that of UTF-16 and two zeros.
MARKS = {
    "is UTF-32: save it as UTF-8 text": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "is UTF-16: save it as UTF-8 text": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "is packed in a way that is not read: unpack it": (
        *(b"PK\x03\x04", b"\x1f\x8b", b"BZh"),  # zip (so is .docx), gzip, bzip2
        *(b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c"),  # xz, 7z
        *(b"\x28\xb5\x2f\xfd", b"Rar!\x1a\x07"),  # zstd, rar
    ),
}
TEXTS = "text", "documents"  # the kinds of tasks that are a text


@dataclass(frozen=True)
class Corpus:
    """A training text, a validation text, and where they come from.

    `sha256` is the hex digest of the UTF-8 bytes of `train` followed by `val`;
    `n_bytes` counts them. `entropy` is the text's own, in nats per character, where it
    was drawn from a known law, else None. `files` are the texts that `train` and `val`
    were joined of, where they come from a folder.
    """

    name: str
    train: str = field(repr=False)
    val: str = field(repr=False)
    sha256: str
    n_bytes: int
    note: str
    entropy: float | None = None
    files: dict[str, list[str]] = field(default_factory=dict, repr=False)

    def documents(self, part: str) -> list[str]:
        """The texts in "train" or "val" that stand for themselves: the files of a
        folder or an archive, else what lies between empty lines."""
        return self.files.get(part) or blocks(getattr(self, part))


def load_corpus(data: str | os.PathLike) -> Corpus:
    """The corpus behind a name (`stdlib`, or one of the catalogue) or a path.

    `facts`, `lexicon`, `brackets`, `topics` and `induction` are generated, and may have
    parameters: `facts:a=0.3,seed=1`. A file gives its last tenth to validation, a
    folder, or an archive of one (.zip, .tar, .tar.gz), whole files in the order of a
    hash of their paths below the folder that all share. A name goes before a path:
    write `./stdlib` for a file that is called so. A corpus of the catalogue is
    downloaded the first time. Raises DataError for what is missing, empty or not UTF-8,
    UsageError for parameters that cannot be and for a task that is no text.
    """
    data = os.fspath(data)
    if data == "stdlib":
        return _from_standard_library()
    if known := generated(data) or generated_task(data, *TEXTS):
        return _from_law(known)
    entries = catalogue()
    if data in entries:
        entry = entries[data]
        text = read_text(fetch(data))
        return _from_text(data, text, f"{entry.title} ({entry.licence})")
    path = Path(data)
    if os.path.isdir(data):
        return _from_folder(path)
    if exists(data):
        return _from_archive(path) if is_archive(path) else _from_file(path)
    tasks = [name for name, toy in TOYS.items() if toy.kind in TEXTS]
    names = ["stdlib", *entries, *GENERATED, *tasks]
    near = difflib.get_close_matches(data, names, n=1)
    hint = f": did you mean {near[0]!r}?" if near else ""
    raise DataError(
        f"{data!r}: no such file or folder, nor a corpus ({', '.join(names)}){hint}"
    )


def exists(data: str) -> bool:
    """Whether a path names something. Raises DataError where it may not be known."""
    try:
        os.stat(data)
    except PermissionError as error:
        _refuse(error)
    except (OSError, ValueError):  # too long a name, or one that cannot be
        return False
    return True


def read_text(path: Path) -> str:
    """A UTF-8 file exactly as it stands (line endings too), less a byte order mark.

    Raises DataError if it cannot be read, or with the offset of the first bad byte.
    """
    return _decoded(read_bytes(path, TEXT, pipe=True), str(path))


def _decoded(raw: bytes, name: str) -> str:
    start = len(codecs.BOM_UTF8) if raw.startswith(codecs.BOM_UTF8) else 0
    try:
        return str(memoryview(raw)[start:], "utf-8")
    except UnicodeDecodeError as error:
        offset = start + error.start
        for told, marks in MARKS.items():
            if raw.startswith(marks):
                raise DataError(f"{name}: {told}") from error
        raise DataError(
            f"{name}: not UTF-8: byte 0x{raw[offset]:02x} at offset {offset:,}; save it"
            " as UTF-8 text"
        ) from error


def _from_file(path: Path) -> Corpus:
    text = read_text(path)
    if _is_blank(text):
        raise DataError(f"{path}: holds no text")
    return _from_text(path.name, text, "a text file")


def _from_text(name: str, text: str, note: str) -> Corpus:
    cut = _tail(text)
    return _corpus(name, text[:cut], text[cut:], note)


def _from_folder(folder: Path) -> Corpus:
    texts = {
        path.relative_to(folder).as_posix(): read_text(path) for path in _files(folder)
    }
    return _from_many(folder, texts, "a folder")


def _from_archive(archive: Path) -> Corpus:
    texts = {
        path: _decoded(raw, f"{archive}, {path!r}")
        for path, raw in read_archive(archive).items()
    }
    return _from_many(archive, texts, "an archive")


def _from_many(place: Path, texts: dict[str, str], what: str) -> Corpus:
    """A corpus of the texts that were found at a place, by their paths there."""
    documents = {path: text for path, text in texts.items() if not _is_blank(text)}
    if not documents:
        raise DataError(f"{place}: no file in it holds text")
    # Packed with the folder or from within it: the same text, cut in the same place.
    shared = posixpath.commonpath([posixpath.dirname(path) for path in documents])
    documents = {
        path.removeprefix(f"{shared}/"): text for path, text in documents.items()
    }
    name = place.resolve().name
    note = f"{what} of {len(documents)} text files"
    size = _validation_size(sum(map(len, documents.values())))
    train, val = _split(documents, size)
    if train and val:
        return _from_files(name, train, val, note)
    return _from_text(name, "\n".join(train or val), note)


def _from_standard_library() -> Corpus:
    documents = standard_library()
    size = sum(map(len, documents.values())) * 3 // 100
    train, val = _split(documents, size, fit_for_validation)
    note = f"Python {platform.python_version()} standard library"
    return _from_files("stdlib", train, val, note)


def _from_files(name: str, train: list[str], val: list[str], note: str) -> Corpus:
    corpus = _corpus(name, "\n".join(train), "\n".join(val), note)
    return replace(corpus, files={"train": train, "val": val})


def _from_law(known: KnownText | Toy) -> Corpus:
    corpus = _corpus(known.spec, *known.texts(), known.title)
    return replace(corpus, entropy=known.entropy)


def _corpus(name: str, train: str, val: str, note: str) -> Corpus:
    digest = hashlib.sha256()
    n_bytes = 0
    for text in (train, val):
        for start in range(0, len(text), 1 << 20):
            piece = text[start : start + (1 << 20)].encode("utf-8")
            digest.update(piece)
            n_bytes += len(piece)
    return Corpus(name, train, val, digest.hexdigest(), n_bytes, note)


def _validation_size(n: int) -> int:
    """A tenth of n characters: more of a tiny text, at most a million characters."""
    return min(max(n // 10, min(n // 4, 4_096)), 1_000_000)


def _tail(text: str) -> int:
    """Where the validation tail begins: at a line if one begins nearby."""
    size = _validation_size(len(text))
    cut = len(text) - size
    line_end = text.find("\n", max(cut - 1, 0), cut + size // 4)
    return cut if line_end < 0 else line_end + 1


def _split(
    documents: dict[str, str],
    size: int,
    fit: Callable[[str, str], bool] = lambda path, text: True,
) -> tuple[list[str], list[str]]:
    """Training and validation documents, both in the order of their paths' hashes.

    Whole documents, so that nothing of a validated one was trained on. The hash mixes
    the folders, and puts a path on the same side on every machine. Validation takes the
    first fit ones up to `size` characters, and none that would double it.
    """
    train, val = [], []
    taken = 0
    for path in sorted(documents, key=_path_hash):
        text = documents[path]
        if taken < size and taken + len(text) <= 2 * size and fit(path, text):
            val.append(text)
            taken += len(text)
        else:
            train.append(text)
    return train, val


def _path_hash(path: str) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()


def _files(folder: Path) -> list[Path]:
    """Every file below a folder, without the hidden ones. Raises DataError for a pipe
    or a device, which may have no end."""
    found = []
    for parent, subfolders, names in os.walk(folder, onerror=_refuse):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    for path in found:
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: is a pipe or a device, not a file")
    return found


def _refuse(error: OSError) -> NoReturn:
    raise DataError(f"{error.filename}: {error.strerror}") from error


def _is_blank(text: str) -> bool:
    return not text or text.isspace()


def blocks(text: str) -> list[str]:
    """The parts of a text between empty lines, as documents stand in BERT's files."""
    return [part for part in _EMPTY_LINES.split(text) if not _is_blank(part)]
