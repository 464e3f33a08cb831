"""A course: which exercises, how many points, and the lecturer's own seeds.

# Written by minillm
title = "Autograd"
exercises = ["mul", "softmax"]

[points]        # of an exercise, in place of its own
softmax = 20

[hidden]        # left out of what students get
seeds = [17, 4]
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from minillm import files, json_files
from minillm.errors import DataError
from minillm.exercises.table import SHEETS, exercise_of

COURSE = "course.toml"
KEYS = {"title": str, "exercises": list, "points": dict, "hidden": dict}


@dataclass(frozen=True)
class Course:
    """See above; seeds are those on which a submission is marked."""

    title: str = "All exercises"
    names: tuple[str, ...] = SHEETS
    points: dict[str, float] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)

    def for_students(self) -> str:
        """The course as a file, without what is hidden."""
        lines = [
            f"# {files.MARK}: the exercises of this folder. --folder finds it by this.",
            f"title = {_text(self.title)}",
            f"exercises = [{', '.join(map(_text, self.names))}]",
        ]
        if self.points:
            lines += ["", "[points]"]
            lines += [f"{name} = {points:g}" for name, points in self.points.items()]
        return "\n".join(lines) + "\n"

    def for_lecturers(self) -> str:
        """The course as a file, with the hidden seeds."""
        return self.for_students() + f"\n[hidden]\nseeds = {[*self.seeds]}\n"

    @property
    def of(self) -> float:
        """The points of the whole course."""
        return sum(self.points_of(name) for name in self.names)

    def points_of(self, name: str) -> float:
        return self.points.get(name, exercise_of(name).points)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a string of TOML too


def read_course(path: Path) -> Course:
    """The course in a TOML file. Raises DataError that names the file and the key."""
    record = json_files.read_settings(path)
    if not isinstance(record, dict):
        raise DataError(f"{path}: holds no course")
    for key, value in record.items():
        if key not in KEYS:
            raise DataError(f"{path}: unknown key {key!r} (known: {', '.join(KEYS)})")
        if not isinstance(value, KEYS[key]):
            raise DataError(f"{path}: {key} = {value!r:.60} is not what {key} takes")
    names = record.get("exercises", [*SHEETS])
    points = record.get("points", {})
    hidden = record.get("hidden", {})
    for name in [*names, *points]:
        if name not in SHEETS:
            raise DataError(
                f"{path}: no exercise {name!r:.60} (known: {', '.join(SHEETS)})"
            )
    if not names:
        raise DataError(f"{path}: exercises = []: a course has one at least")
    for name, number in points.items():
        if type(number) not in (int, float) or not 0 < number < 1e6:
            raise DataError(
                f"{path}: points of {name}: a number above 0, and below a "
                f"million, is needed"
            )
    seeds = hidden.get("seeds", [0])
    whole = isinstance(seeds, list) and all(type(each) is int for each in seeds)
    if {*hidden} - {"seeds"} or not whole or not seeds or min(seeds) < 0:
        raise DataError(f"{path}: [hidden] holds seeds = [whole numbers from 0 on]")
    return Course(
        record.get("title", Course.title),
        tuple(name for name in SHEETS if name in names),
        points,
        tuple(seeds),
    )
