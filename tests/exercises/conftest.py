"""Exercises in this process: a text is judged as a student's file would be."""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from minillm.exercises import earlier
from minillm.exercises.cases import THOROUGH, Search
from minillm.exercises.exercise import Verdict
from minillm.exercises.judging import verdicts
from minillm.exercises.student import made
from minillm.exercises.table import exercise_of, file_name

# Where `mutants.py` and its list lie.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def judge(tmp_path):
    """A function from an exercise's name and a text to its verdicts, by name; up to the
    first for which `until` says so."""
    count = itertools.count()

    def judge(
        name: str,
        text: str,
        seed: int = 0,
        *,
        search: Search = THOROUGH,
        until: Callable[[Verdict], bool] = lambda verdict: False,
    ) -> dict[str, Verdict]:
        earlier.use({})
        exercise = exercise_of(name)
        path = Path(tmp_path / str(next(count)) / file_name(name))
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
        found = {}
        for each in verdicts(
            *(exercise, lambda: made(exercise, text, path), path),
            seeds=[seed],
            search=search,
        ):
            found[each.name] = each
            if until(each):
                break
        return found

    return judge
