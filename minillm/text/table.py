"""Tables: rows of two texts, in a part to train on and a part to validate."""

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from minillm.errors import DataError, UsageError
from minillm.text.data_spec import Rows, Source, exists

FEWEST_ROWS = 5
KINDS = ("pairs", "labels")


@dataclass(frozen=True)
class Table:
    """Rows of two texts: source and target, or text and label.

    `sha256` is the hex digest of the texts of `train`, then of `val`, in UTF-8, each
    ended by a zero byte; `n_bytes` counts them without it. `notes` say in words how a
    file was read, where that is not plain.
    """

    name: str
    train: Rows = field(repr=False)
    val: Rows = field(repr=False)
    sha256: str
    n_bytes: int
    note: str
    notes: tuple[str, ...] = ()


def load_table(
    data: str | os.PathLike,
    kind: str,
    *,
    whole: bool = False,
    known_labels: Sequence[str] = (),
) -> Table:
    """The table behind the name of a generated task (`reverse`) or a path.

    `kind` is "pairs" (source, target) or "labels" (text, label). A path may say which
    columns these are: `reviews.csv:text=title+body,label=stars`. A tenth of the rows of
    a .tsv, .csv or .jsonl file is held out: which ones is decided by a hash of the
    source, so that it does not depend on their order, and equal sources stay together.
    Each label has its share in it, as far as one row at least is left to train on. With
    `whole` all rows of a file are held out, however few. A first row with one of
    `known_labels` is no header.

    Raises DataError for what is missing or cannot be read, for fewer than five rows, a
    single label, or nothing that can be held out; UsageError for a task of another kind
    and for parameters that cannot be.
    """
    # Whoever trains on a text opens this file too, and none of these.
    from minillm.text.synthetic.by_name import TOYS, generated_task
    from minillm.text.table_files.rows import read_rows

    if kind not in KINDS:
        raise UsageError(f"a table of {kind!r}: there are {' and '.join(KINDS)}")
    data = os.fspath(data)
    if toy := generated_task(data, kind):
        return _table(toy.spec, *toy.parts(), toy.title)
    source = Source.parse(data)
    path = Path(source.path)
    if os.path.isdir(source.path):
        raise DataError(f"{path}: a folder; give one file, .tsv, .csv or .jsonl")
    if not exists(source.path):
        names = ", ".join(name for name, toy in TOYS.items() if toy.kind == kind)
        raise DataError(f"{data!r}: no such file, nor a generated task ({names})")
    rows, notes = read_rows(source, kind, known_labels)
    if whole:
        if not rows:
            raise DataError(f"{path}: holds no rows")
        table = _table(path.name, [], rows, f"{len(rows):,} rows")
    else:
        with _with_notes(notes):
            table = _in_two_parts(path, rows, kind)
    return replace(table, notes=tuple(notes))


@contextlib.contextmanager
def _with_notes(notes: Sequence[str]) -> Iterator[None]:
    """Say how a file was read where it teaches nothing: that may be why."""
    try:
        yield
    except DataError as error:
        raise DataError("; ".join([str(error), *notes])) from None


def _in_two_parts(path: Path, rows: Rows, kind: str) -> Table:
    if len(rows) < FEWEST_ROWS:
        raise DataError(
            f"{path}: too few rows ({len(rows)}); give {FEWEST_ROWS} or more"
        )
    if kind == "pairs":
        held_out = _held_out(rows, [""] * len(rows))
        note, alone = f"{len(rows):,} pairs", "source is equal"
    else:
        labels = [label for _, label in rows]
        n_classes = len(set(labels))
        if n_classes == 1:
            raise DataError(
                f"{path}: every label is {labels[0]!r}; give texts of two classes"
            )
        held_out = _held_out(rows, labels)
        note = f"{len(rows):,} texts in {n_classes:,} classes"
        alone = "label is on one text alone"
    if not held_out:
        raise DataError(
            f"{path}: nothing can be held out for validation: every {alone}; are the "
            "columns in order?"
        )
    train = [row for row in rows if row[0] not in held_out]
    val = [row for row in rows if row[0] in held_out]
    return _table(path.name, train, val, note)


def _table(name: str, train: Rows, val: Rows, note: str) -> Table:
    digest = hashlib.sha256()
    n_bytes = 0
    for row in (*train, *val):
        for text in row:
            raw = text.encode("utf-8")
            digest.update(raw + b"\0")
            n_bytes += len(raw)
    return Table(name, train, val, digest.hexdigest(), n_bytes, note)


def _held_out(rows: Rows, classes: Sequence[str]) -> set[str]:
    """The sources of about a tenth of the rows, of every class its share."""
    counts = Counter(classes)
    shares = _shares(counts, max(1, len(rows) // 10))
    groups: dict[str, list[str]] = {}  # the classes of the rows of each source
    for (source, _), label in zip(rows, classes, strict=True):
        groups.setdefault(source, []).append(label)
    order = sorted(groups, key=_hash)
    held_out = set()
    for source in order:
        if not any(shares.values()):
            break
        group = Counter(groups[source])
        if all(shares[label] >= n for label, n in group.items()):
            held_out.add(source)
            shares.subtract(group)
    if held_out:
        return held_out
    # Every source has more rows than a tenth: the smallest that does not take a class
    # away from the training part.
    small = [
        source
        for source in order
        if all(counts[label] > n for label, n in Counter(groups[source]).items())
    ]
    return set(sorted(small, key=lambda source: len(groups[source]))[:1])


def _shares(counts: Counter, size: int) -> Counter:
    """`size` rows divided among classes as their counts are; one of each is kept."""
    total = counts.total()
    shares = Counter({label: n * size // total for label, n in counts.items()})
    open_to_more = [label for label, n in counts.items() if shares[label] + 1 < n]
    open_to_more.sort(key=lambda label: (-(counts[label] * size % total), label))
    shares.update(open_to_more[: size - shares.total()])
    return shares


def _hash(source: str) -> bytes:
    return hashlib.sha256(source.encode("utf-8")).digest()
