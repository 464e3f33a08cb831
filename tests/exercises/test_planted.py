"""Bugs planted into each solution: the check of its exercise finds and names each."""

import runpy
from pathlib import Path

import pytest

from minillm.exercises.cutting import text_of
from minillm.exercises.table import SHEETS, exercise_of

PLANTED = {
    name: runpy.run_path(str(Path(__file__).parent / "planted" / f"{name}.py"))["BUGS"]
    for name in SHEETS
}
EACH = [
    pytest.param(name, *bug, id=f"{name}-{number}-{bug[2]}".replace(" ", "_"))
    for name, bugs in PLANTED.items()
    for number, bug in enumerate(bugs)
]


@pytest.mark.parametrize(("name", "old", "new", "kind"), EACH)
def test_a_planted_bug_is_found_and_named(judge, name, old, new, kind):
    solution = text_of(exercise_of(name), solved=True)
    task, end, code = solution.partition('\n"""\n')
    assert old in code
    found = judge(name, task + end + code.replace(old, new, 1))
    failed = {each.kind: each for each in found.values() if not each.passed}
    assert kind in failed, failed or "it passed"
    assert failed[kind].message


@pytest.mark.parametrize("name", SHEETS)
def test_every_exercise_has_planted_bugs_of_several_kinds(name):
    assert len(PLANTED[name]) >= 5
    assert len({kind for *_, kind in PLANTED[name]}) >= 3
