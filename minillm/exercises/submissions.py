"""Submissions: where the exercises are in one, and the marks of many as a table."""

import csv
import io
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minillm.errors import DataError
from minillm.exercises import marking
from minillm.exercises.course import Course
from minillm.exercises.judge import Mark
from minillm.exercises.student import MOST
from minillm.exercises.table import file_name

DEEPEST = 4  # folders inside a submission
LECTURERS = (".csv", ".toml", ".yml")  # files beside the submissions


@dataclass(frozen=True)
class Graded:
    """A submission's marks; none, and an error, where it holds no exercise."""

    name: str
    marks: list[Mark]
    error: str = ""

    @property
    def points(self) -> float:
        return round(sum(mark.points for mark in self.marks), 4)

    def to_json(self, course: Course) -> dict:
        got = {mark.name: mark.points for mark in self.marks}
        return {
            "submission": self.name,
            "points": self.points,
            "of": course.of,
            "exercises": {name: got.get(name, 0.0) for name in course.names},
            "error": self.error,
        }


def grade(folder: Path, course: Course) -> Iterator[Graded]:
    """Mark each submission of a folder: a folder or a .zip, in order of their names.
    Any other file has an error, but for those of `LECTURERS`.

    Raises DataError where there is none.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: is no folder of submissions")
    each = [path for path in sorted(folder.iterdir()) if _is_one(path)]
    if not any(path.is_dir() or _is_zip(path) for path in each):
        raise DataError(f"{folder}: holds no submission, a folder or a .zip each")
    for path in each:
        with tempfile.TemporaryDirectory() as temporary:
            try:
                where = find(_opened(path, temporary, course), course)
                marks = [*marking.marks(where, course, [*course.names])]
                yield Graded(path.name, marks)
            except DataError as error:
                yield Graded(path.name, [], str(error))


def find(submission: Path, course: Course) -> Path:
    """The folder of a submission in which most files of the course lie.

    Raises DataError where there is none of them, or two folders have as many.
    """
    wanted = {file_name(name) for name in course.names}
    folders = [submission]
    for _ in range(DEEPEST):
        folders += [
            path
            for folder in folders
            if folder.is_dir()
            for path in sorted(folder.iterdir())
            if path.is_dir() and not path.is_symlink() and path not in folders
        ]

    def number(folder: Path) -> int:
        return sum((folder / name).is_file() for name in wanted)

    best = max(folders, key=number)
    others = [folder for folder in folders if number(folder) == number(best)]
    if not number(best):
        raise DataError(
            f"holds none of {', '.join(sorted(wanted)[:3])} …: submit the files with "
            f"their names"
        )
    if others[1:]:
        names = [folder.relative_to(submission).as_posix() for folder in others]
        raise DataError(
            f"as many of the files lie in {names[0]} as in {names[1]}: put what counts "
            f"into one folder"
        )
    return best


def table(graded: list[Graded], course: Course) -> str:
    """The marks as CSV: a row for each submission, a column for each exercise."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["submission", "points", "of", *course.names, "error"])
    for each in graded:
        record = each.to_json(course)
        numbers = [f"{points:g}" for points in record["exercises"].values()]
        points = [f"{each.points:g}", f"{course.of:g}"]
        name, error = _as_text(each.name), _as_text(each.error)
        writer.writerow([name, *points, *numbers, error])
    return text.getvalue()


def _as_text(cell: str) -> str:
    """A student's words as no spreadsheet takes them for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _is_one(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return path.is_dir() or (path.is_file() and path.suffix.lower() not in LECTURERS)


def _is_zip(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() == ".zip"


def _opened(path: Path, into: str, course: Course) -> Path:
    """The folder of a submission, into which an archive is unpacked."""
    if path.is_dir():
        return path
    if not _is_zip(path):
        raise DataError("is no folder and no .zip: make one")
    return _unpacked(path, into, course)


def _unpacked(path: Path, into: str, course: Course) -> Path:
    """The files of the course in an archive, by their names alone: no path in it is
    followed. Of a name that is there twice, the one with most others beside it counts.
    Raises DataError."""
    wanted = {file_name(name) for name in course.names}
    try:
        with zipfile.ZipFile(path) as archive:
            found = {}  # name -> {folder: its entry}
            for info in archive.infolist():
                folder, _, name = info.filename.replace("\\", "/").rpartition("/")
                hidden = "__MACOSX" in info.filename
                if name in wanted and info.file_size <= MOST and not hidden:
                    found.setdefault(name, {})[folder] = info
            beside = Counter(folder for entries in found.values() for folder in entries)
            for name, entries in found.items():
                best, *others = sorted(entries, key=beside.get, reverse=True)
                if others and beside[best] == beside[others[0]]:
                    raise DataError(f"holds {name} twice: leave one")
                temporary = Path(into) / name
                temporary.write_bytes(archive.read(entries[best]))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise DataError(f"cannot be unpacked: {error}") from None
    return Path(into)
