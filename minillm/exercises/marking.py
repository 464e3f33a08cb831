"""What is checked in a folder, and its marks as a record."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from minillm.errors import UsageError
from minillm.exercises import judge
from minillm.exercises.course import Course
from minillm.exercises.cutting import text_of
from minillm.exercises.judge import Mark
from minillm.exercises.table import exercise_of, file_name, named


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


def is_begun(folder: Path, name: str) -> bool:
    """Whether a student's file is there and is not the blank one any more."""
    try:
        text = (folder / file_name(name)).read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True  # the check says what is wrong with it
    return text.split() != text_of(exercise_of(name)).split()


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
