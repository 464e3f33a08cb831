"""Exercises in this process: a text is judged as a student's file would be."""

import itertools
from pathlib import Path

import pytest

from minillm.exercises import earlier
from minillm.exercises.judging import verdicts
from minillm.exercises.student import made
from minillm.exercises.table import exercise_of, file_name


@pytest.fixture
def judge(tmp_path):
    """A function from an exercise's name and a text to its verdicts, by name."""
    count = itertools.count()

    def judge(name: str, text: str, seed: int = 0) -> dict:
        earlier.use({})
        exercise = exercise_of(name)
        path = Path(tmp_path / str(next(count)) / file_name(name))
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
        found = verdicts(
            exercise, lambda: made(exercise, text, path), path, seeds=[seed]
        )
        return {each.name: each for each in found}

    return judge
