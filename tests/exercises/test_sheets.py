"""Every exercise: its text, its solution, its marks."""

import ast

import pytest

from minillm.exercises.cutting import text_of
from minillm.exercises.table import SHEETS, exercise_of, named, number_of

each = pytest.mark.parametrize("name", SHEETS)


@each
@pytest.mark.parametrize("seed", [0, pytest.param(7, marks=pytest.mark.slow)])
def test_the_solution_has_full_marks(judge, name, seed):
    found = judge(name, text_of(exercise_of(name), solved=True), seed)
    assert found
    assert all(verdict.passed for verdict in found.values()), found


@each
def test_the_unsolved_file_has_none(judge, name):
    found = judge(name, text_of(exercise_of(name)))
    assert {verdict.kind for verdict in found.values()} == {"unsolved"}


@each
def test_a_file_that_takes_the_engine_s_is_told(judge, name):
    text = text_of(exercise_of(name), solved=True)
    provided = exercise_of(name).cut.provides[0]
    found = judge(name, f"{text}\nfrom minillm.ops import {provided}\n")
    assert {verdict.kind for verdict in found.values()} == {"imported"}
    assert provided in next(iter(found.values())).message


@each
def test_a_sheet_is_complete(name):
    exercise = exercise_of(name)
    assert exercise.name == name
    assert len(exercise.hints) == 3
    assert len(exercise.properties) >= 2
    assert all(each.says and each.points > 0 for each in exercise.properties)
    assert all(number_of(other) < number_of(name) for other in exercise.builds_on)


@each
def test_its_file_is_short_and_has_the_names_it_needs(name):
    for solved in (False, True):
        text = text_of(exercise_of(name), solved=solved)
        assert max(map(len, text.splitlines())) <= 88
        ast.parse(text)
        assert text.endswith("\n") and not text.endswith("\n\n")
        assert ("NotImplementedError" in text) == (not solved)


@pytest.mark.parametrize(
    "text", ["mul", "1", "01_mul.py", r"C:\me\01_mul.py", "01_mul"]
)
def test_an_exercise_is_called_by_name_number_or_file(text):
    assert named(text) == "mul"
