"""What is checked in a folder, and its marks as a record."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from minillm.errors import UsageError
from minillm.exercises import judge
from minillm.exercises.course import Course
from minillm.exercises.folder import is_begun
from minillm.exercises.judge import Mark
from minillm.exercises.table import named


def chosen(folder: Path, course: Course, names: Iterable[str], every: bool) -> list:
    """The exercises meant: those named, every one, or else those that are begun.

    Raises UsageError for a name that the course does not have, and where none is begun.
    """
    wanted = [named(name) for name in names]
    for name in wanted:
        if name not in course.names:
            raise UsageError(
                f"{name} is no exercise of this course: {', '.join(course.names)}"
            )
    if every or wanted:
        return [*(course.names if every else wanted)]
    begun = [name for name in course.names if is_begun(folder, name)]
    if not begun:
        raise UsageError("no exercise is begun yet: give a NAME, or --all")
    return begun


def first_open(folder: Path, course: Course) -> str | None:
    """The first exercise of the course that does not pass; None where all do."""
    begun = [name for name in course.names if is_begun(folder, name)]
    with contextlib.closing(marks(folder, course, begun)) as found:
        for name in course.names:
            if name not in begun or not next(found).passed:
                return name
    return None


def marks(
    folder: Path, course: Course, names: list[str], *, alone: bool = False
) -> Iterator[Mark]:
    """The mark of each, in course order, by the points and the seeds of the course."""
    return judge.check(
        folder, names, alone=alone, points=course.points, seeds=course.seeds
    )


def to_json(marks: list[Mark]) -> dict:
    """{exercises: […], points, of}, as `check --json` prints it."""
    return {
        "exercises": [mark.to_json() for mark in marks],
        "points": round(sum(mark.points for mark in marks), 4),
        "of": sum(mark.of for mark in marks),
    }
