"""Corpora: a text in two parts, one to train on and one to validate."""

import difflib
import hashlib
import os
import platform
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from minillm.decoding import NoTextError, decoded
from minillm.errors import DataError
from minillm.text.archive import is_archive, read_archive, read_bytes, read_text
from minillm.text.catalogue import catalogue, fetch
from minillm.text.columns import Source, listed
from minillm.text.folder import files_below
from minillm.text.generated import GENERATED, TOYS, generated, generated_task
from minillm.text.known import KnownText
from minillm.text.stdlib import fit_for_validation, standard_library
from minillm.text.text_file import Texts, texts_of
from minillm.text.toys.toy import Toy

_EMPTY_LINES = re.compile(r"\n[ \t\r]*\n\s*")
TEXTS = "text", "documents"  # the kinds of tasks that are a text
Columns = Mapping[str, Sequence[str]]  # of a role, that the user asks for


@dataclass(frozen=True)
class Corpus:
    """A training text, a validation text, and where they come from.

    `sha256` is the hex digest of the UTF-8 bytes of `train` followed by `val`;
    `n_bytes` counts them. `entropy` is the text's own, in nats per character, where it
    was drawn from a known law, else None. `files` are the texts that `train` and `val`
    were joined of, where there were several. `notes` say in words how files were read
    that are no plain text, and which were not.
    """

    name: str
    train: str = field(repr=False)
    val: str = field(repr=False)
    sha256: str
    n_bytes: int
    note: str
    entropy: float | None = None
    files: dict[str, list[str]] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()

    def documents(self, part: str) -> list[str]:
        """The texts in "train" or "val" that stand for themselves: the files of a
        folder or an archive, the texts of JSON, else what lies between empty lines."""
        return self.files.get(part) or blocks(getattr(self, part))


def load_corpus(data: str | os.PathLike) -> Corpus:
    """The corpus behind a name (`stdlib`, or one of the catalogue) or a path.

    `facts`, `lexicon`, `brackets`, `topics` and `induction` are generated, and may have
    parameters: `facts:a=0.3,seed=1`. A file gives its last tenth to validation; a
    folder, an archive of one (.zip, .tar, .tar.gz) and JSON with many texts give whole
    texts in the order of a hash of their paths, below the folder that all share, and
    lines. A path may say what to read: `reviews.jsonl:text=title+body`, and
    `folder:links=follow` for links that lead out of it. A name goes before a path:
    write `./stdlib` for a file that is called so. A corpus of the catalogue is
    downloaded the first time. Raises DataError for what is missing, holds no text or is
    no UTF-8, UsageError for parameters that cannot be and for a task that is no text.
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
    source = Source.parse(data)
    source.check("text")
    path = Path(source.path)
    if os.path.isdir(source.path):
        return _from_folder(path, source)
    if exists(source.path):
        read = _from_archive if is_archive(path) else _from_file
        return read(path, source.columns)
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
        raise DataError(f"{error.filename}: {error.strerror}") from error
    except (OSError, ValueError):  # too long a name, or one that cannot be
        return False
    return True


def _from_file(path: Path, columns: Columns) -> Corpus:
    found = texts_of(str(path), read_text(path), columns)
    texts = _by_path(path.name, found)
    if all(map(_is_blank, texts.values())):
        raise DataError(f"{path}: holds no text")
    notes = (f"{path.name}: {found.note}",) if found.note else ()
    if len(texts) > 1:
        return _from_many(path, texts, "a file", "texts", notes)
    (text,) = texts.values()
    return replace(_from_text(path.name, text, "a text file"), notes=notes)


def _from_text(name: str, text: str, note: str) -> Corpus:
    cut = _tail(text)
    return _corpus(name, text[:cut], text[cut:], note)


def _from_folder(folder: Path, source: Source) -> Corpus:
    paths = sorted(files_below(folder, follow_links=source.follow_links))
    files = ((p.relative_to(folder).as_posix(), str(p), read_bytes(p)) for p in paths)
    return _from_files(folder, files, source.columns, "a folder")


def _from_archive(archive: Path, columns: Columns) -> Corpus:
    files = (
        (path, f"{archive}, {path!r}", raw)
        for path, raw in read_archive(archive).items()
    )
    return _from_files(archive, files, columns, "an archive")


def _from_files(
    place: Path, files: Iterable[tuple[str, str, bytes]], columns: Columns, what: str
) -> Corpus:
    """A corpus of files: their paths at a place, their names in errors, their bytes.
    What is no text is left out, and said."""
    texts, read, left_out = {}, {}, []
    kind = "text files"
    for path, name, raw in files:
        try:
            text = decoded(raw, name)
        except NoTextError as error:
            left_out.append(f"{path} ({error.what})")
            continue
        found = texts_of(path, text, columns, name=name)
        if found.note and not _is_blank(text):
            read.setdefault(found.note, []).append(path)
        if found.as_it_stands:
            texts[path] = text
        else:
            kind = "texts"
            texts |= _by_path(path, found)
    notes = [f"{place}, {listed(paths)}: {told}" for told, paths in read.items()]
    if left_out:
        notes.append(
            f"{place}: left out as no text, {len(left_out):,}: {listed(left_out)}"
        )
    if all(map(_is_blank, texts.values())):
        more = f"; {listed(left_out)}" if left_out else ""
        raise DataError(f"{place}: no file in it holds text{more}")
    return _from_many(place, texts, what, kind, tuple(notes))


def _by_path(path: str, found: Texts) -> dict[str, str]:
    """The texts of one file as if each were a file of its own."""
    if len(found.texts) == 1:
        ((_, text),) = found.texts
        return {path: text}
    return {f"{path}/{n}": text for n, (_, text) in enumerate(found.texts, 1)}


def _from_many(
    place: Path, texts: dict[str, str], what: str, kind: str, notes: tuple[str, ...]
) -> Corpus:
    """A corpus of the texts that were found at a place, by their paths there."""
    documents = {path: text for path, text in texts.items() if not _is_blank(text)}
    # Packed with the folder or from within it: the same text, cut in the same place.
    shared = posixpath.commonpath([posixpath.dirname(path) for path in documents])
    documents = {
        path.removeprefix(f"{shared}/"): text for path, text in documents.items()
    }
    name = place.resolve().name
    note = f"{what} of {len(documents)} {kind}"
    size = _validation_size(sum(map(len, documents.values())))
    train, val = _split(documents, size)
    if train and val:
        corpus = _from_documents(name, train, val, note)
    else:
        corpus = _from_text(name, "\n".join(train or val), note)
    return replace(corpus, notes=notes)


def _from_standard_library() -> Corpus:
    documents = standard_library()
    size = sum(map(len, documents.values())) * 3 // 100
    train, val = _split(documents, size, fit_for_validation)
    note = f"Python {platform.python_version()} standard library"
    return _from_documents("stdlib", train, val, note)


def _from_documents(name: str, train: list[str], val: list[str], note: str) -> Corpus:
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


def _is_blank(text: str) -> bool:
    return not text or text.isspace()


def blocks(text: str) -> list[str]:
    """The parts of a text between empty lines, as documents stand in BERT's files."""
    return [part for part in _EMPTY_LINES.split(text) if not _is_blank(part)]
