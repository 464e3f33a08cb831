"""Many files as texts: those of a folder, or of an archive."""

from collections.abc import Iterator
from pathlib import Path

from minillm.errors import DataError
from minillm.reading import NoTextError, decoded
from minillm.text.data_spec import Source
from minillm.text.sources.archive import read_archive
from minillm.text.sources.folder import files_below
from minillm.text.table_files.columns import listed
from minillm.text.text_file import is_blank, read_bytes, texts_of


def texts_in(
    place: Path, source: Source
) -> tuple[dict[str, str], bool, tuple[str, ...]]:
    """The texts at a place by their paths there, whether each is a whole file, and in
    words how they were read. What is no text is left out, and said.

    Raises DataError, as `files_below` and `read_archive` do, and where none is a text.
    """
    files = _of_folder(place, source) if place.is_dir() else _of_archive(place)
    texts, read, left_out = {}, {}, []
    whole = True
    for path, name, raw in files:
        try:
            text = decoded(raw, name)
        except NoTextError as error:
            left_out.append(f"{path} ({error.what})")
            continue
        found = texts_of(path, text, source.columns, name=name)
        if found.note and not is_blank(text):
            read.setdefault(found.note, []).append(path)
        whole = whole and found.as_it_stands
        texts |= found.by_path(path)
    notes = [f"{place}, {listed(paths)}: {told}" for told, paths in read.items()]
    if left_out:
        notes.append(
            f"{place}: left out as no text, {len(left_out):,}: {listed(left_out)}"
        )
    if all(map(is_blank, texts.values())):
        more = f"; {listed(left_out)}" if left_out else ""
        raise DataError(f"{place}: no file in it holds text{more}")
    return texts, whole, tuple(notes)


# The path of each file there, its name in errors, and its bytes.
Files = Iterator[tuple[str, str, bytes]]


def _of_folder(folder: Path, source: Source) -> Files:
    for path in sorted(files_below(folder, follow_links=source.follow_links)):
        yield path.relative_to(folder).as_posix(), str(path), read_bytes(path)


def _of_archive(archive: Path) -> Files:
    for path, raw in read_archive(archive).items():
        yield path, f"{archive}, {path!r}", raw
