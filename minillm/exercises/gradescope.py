"""The autograder's run: marks of a submission, in Gradescope's results.json.

`python -m minillm.exercises.gradescope ROOT`, where ROOT holds `source` (what
`exercises pack` has put together), `submission` and `results`.
https://gradescope-autograders.readthedocs.io, "Autograder Specifications".
"""

import sys
from pathlib import Path

from minillm import files
from minillm.exercises import marking
from minillm.exercises.course import COURSE, Course, read_course
from minillm.exercises.judge import Mark
from minillm.exercises.submissions import find
from minillm.exercises.table import exercise_of, number_of


def run(root: Path) -> dict:
    """Mark the submission and write results/results.json; returns what is in it."""
    course = read_course(root / "source" / COURSE)
    record = results(find(root / "submission", course), course)
    with files.writing(root / "results"):
        (root / "results").mkdir(exist_ok=True)
    files.write_json(root / "results" / "results.json", record)
    return record


def results(folder: Path, course: Course) -> dict:
    """A test for each property, with its share of the exercise's points."""
    marks = marking.marks(folder, course, [*course.names])
    return {"tests": [test for mark in marks for test in tests_of(mark)]}


def tests_of(mark: Mark) -> list[dict]:
    exercise = exercise_of(mark.name)
    found = []
    for one, verdict in zip(exercise.properties, mark.verdicts, strict=True):
        worth = round(mark.of * one.points / exercise.points, 4)
        says = one.says if verdict.passed else f"{verdict.kind}: {verdict.message}"
        found.append(
            {
                "name": f"{number_of(mark.name):02d} {mark.name}: {one.name}",
                "score": worth if verdict.passed else 0.0,
                "max_score": worth,
                "output": says,
                "visibility": "visible",
            }
        )
    return found


if __name__ == "__main__":
    run(Path(sys.argv[1]))
