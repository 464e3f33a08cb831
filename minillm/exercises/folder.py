"""The student's folder: made, found again, and its files put back."""

import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from minillm import files
from minillm.errors import DataError, UsageError
from minillm.exercises.course import COURSE, Course, read_course
from minillm.exercises.cutting import text_of
from minillm.exercises.table import exercise_of, file_name

GUIDE = "AGENTS.md"


@dataclass(frozen=True)
class Started:
    """What `start` made: the files it wrote, and those that were there and stay."""

    folder: Path
    written: list[str]
    kept: list[str]


def start(folder: Path, course: Course) -> Started:
    """Make a folder of exercises, or add to one what is missing in it.

    Raises DataError for a folder that holds other work, and where the disk refuses.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise DataError(f"{folder}: is there, and is no folder: choose another name")
    if folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder):
        raise DataError(
            f"{folder}: holds other work: choose a new folder, or an empty one"
        )
    with files.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    texts = {name: text_of(exercise_of(name)) for name in course.names}
    texts = {file_name(name): text for name, text in texts.items()}
    texts[GUIDE] = guide()
    kept = [name for name in texts if os.path.lexists(folder / name)]
    for name, text in texts.items():
        if name not in kept:
            _write(folder / name, text)
    _write(folder / COURSE, course.for_students())
    return Started(folder, [name for name in texts if name not in kept], kept)


def open_folder(folder: Path) -> Course:
    """The course of a folder of exercises. Raises DataError where it is none."""
    if not _is_ours(folder):
        raise DataError(
            f"{folder}: holds no exercises: begin with `minillm exercises start DIR`, "
            f"or say --folder DIR"
        )
    return read_course(folder / COURSE)


def reset(folder: Path, name: str) -> Path | None:
    """Put the blank file of an exercise back; returns where the student's is kept."""
    path = folder / file_name(name)
    copy = None
    if os.path.lexists(path):
        copy = files.free_name(path.with_suffix(".py.kept"))
        with files.writing(copy):
            path.rename(copy)
    _write(path, text_of(exercise_of(name)))
    return copy


def solve(folder: Path, names: list[str]) -> list[Path]:
    """Put the solutions of exercises into a folder of exercises, made where there is
    none. Raises DataError where a student's work would be lost."""
    for name in names:
        if is_begun(folder, name):
            raise DataError(
                f"{folder / file_name(name)}: is begun: solve into another folder"
            )
    if not _is_ours(folder):
        start(folder, Course(names=tuple(names)))
    paths = [folder / file_name(name) for name in names]
    for name, path in zip(names, paths, strict=True):
        _write(path, text_of(exercise_of(name), solved=True))
    return paths


def is_begun(folder: Path, name: str) -> bool:
    """Whether a student's file is there and is not the blank one any more."""
    try:
        text = (folder / file_name(name)).read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True  # the check says what is wrong with it
    return text.split() != text_of(exercise_of(name)).split()


def guide() -> str:
    """How an assistant is to help, as a file in the folder tells it."""
    return resources.files("minillm.exercises").joinpath("agents.md").read_text("utf-8")


def hint(name: str, step: int) -> str:
    """A hint, 1 to 3. Raises UsageError."""
    if step not in (1, 2, 3):
        raise UsageError(f"hint {step}: there are three, 1 to 3")
    return exercise_of(name).hints[step - 1]


def _is_ours(folder: Path) -> bool:
    return files.is_ours(folder / COURSE)


def _write(path: Path, text: str) -> None:
    with files.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
