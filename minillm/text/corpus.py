"""Corpora: a text in two parts, one to train on and one to validate."""

import hashlib
import os
import platform
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from minillm.errors import LONG_PATH, DataError, nearest, quoted
from minillm.text.data_spec import Columns, Source, exists, is_archive
from minillm.text.text_file import is_blank, read_text, texts_of

_EMPTY_LINES = re.compile(r"\n[ \t\r]*\n\s*")
# What a name looks like, with parameters or without. Whatever holds a dot or a slash in
# front of a colon is a path, and the names need not be opened.
NAME = re.compile(r"[\w-]+(:.*)?", re.S)
TEXTS = "text", "documents"  # the kinds of tasks that are a text


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
    if NAME.fullmatch(data) and (corpus := _by_name(data)):
        return corpus
    source = Source.parse(data)
    source.check("text")
    path = Path(source.path)
    if os.path.isdir(source.path) or (exists(source.path) and is_archive(path)):
        return _from_many_files(path, source)
    if exists(source.path):
        return _from_file(path, source.columns)
    hint = nearest(data, _names())
    if len(data) > LONG_PATH or "\n" in data:
        hint = ": data is the name of a file: write the text into one"
    raise DataError(
        f"{quoted(data)}: no such file or folder, nor a corpus "
        f"({', '.join(_names())}){hint}"
    )


def _by_name(data: str) -> Corpus | None:
    """The corpus of a name, generated or public; None where it is none."""
    from minillm.text.sources.catalogue import catalogue, fetch
    from minillm.text.synthetic.by_name import generated, generated_task

    if known := generated(data) or generated_task(data, *TEXTS):
        corpus = _corpus(known.spec, *known.texts(), known.title)
        return replace(corpus, entropy=known.entropy)
    entry = catalogue().get(data)
    if entry is None:
        return None
    text = read_text(fetch(data))
    return _from_text(data, text, f"{entry.title} ({entry.licence})")


def _names() -> list[str]:
    """All that have one."""
    from minillm.text.sources.catalogue import catalogue
    from minillm.text.synthetic.by_name import GENERATED, TOYS

    tasks = [name for name, toy in TOYS.items() if toy.kind in TEXTS]
    return ["stdlib", *catalogue(), *GENERATED, *tasks]


def _from_file(path: Path, columns: Columns) -> Corpus:
    found = texts_of(str(path), read_text(path), columns)
    texts = found.by_path(path.name)
    if all(map(is_blank, texts.values())):
        raise DataError(f"{path}: holds no text")
    notes = (f"{path.name}: {found.note}",) if found.note else ()
    if len(texts) > 1:
        return _from_many(path, texts, "a file", "texts", notes)
    (text,) = texts.values()
    return replace(_from_text(path.name, text, "a text file"), notes=notes)


def _from_many_files(place: Path, source: Source) -> Corpus:
    from minillm.text.sources.many_files import texts_in

    what = "a folder" if place.is_dir() else "an archive"
    texts, whole, notes = texts_in(place, source)
    return _from_many(place, texts, what, "text files" if whole else "texts", notes)


def _from_text(name: str, text: str, note: str) -> Corpus:
    cut = _tail(text)
    return _corpus(name, text[:cut], text[cut:], note)


def _from_many(
    place: Path, texts: dict[str, str], what: str, kind: str, notes: tuple[str, ...]
) -> Corpus:
    """A corpus of the texts that were found at a place, by their paths there."""
    documents = {path: text for path, text in texts.items() if not is_blank(text)}
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
    from minillm.text.sources.stdlib import fit_for_validation, standard_library

    documents = standard_library()
    size = sum(map(len, documents.values())) * 3 // 100
    train, val = _split(documents, size, fit_for_validation)
    note = f"Python {platform.python_version()} standard library"
    return _from_documents("stdlib", train, val, note)


def _from_documents(name: str, train: list[str], val: list[str], note: str) -> Corpus:
    corpus = _corpus(name, "\n".join(train), "\n".join(val), note)
    return replace(corpus, files={"train": train, "val": val})


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


def blocks(text: str) -> list[str]:
    """The parts of a text between empty lines, as documents stand in BERT's files."""
    return [part for part in _EMPTY_LINES.split(text) if not is_blank(part)]
