"""Bugs planted into each solution: the check of its exercise finds and names each.

Where two kinds say the same ("scale", and "factor" in a small case), both are stated.
"""

import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

from minillm.exercises.cases import Search
from minillm.exercises.cutting import text_of
from minillm.exercises.table import SHEETS, exercise_of

PLANTED = {
    name: runpy.run_path(str(Path(__file__).parent / "planted" / f"{name}.py"))["BUGS"]
    for name in SHEETS
}


def each() -> Iterator:
    """Every bug; of each exercise two of different kinds every day, the others slow."""
    for name, bugs in PLANTED.items():
        daily = {bug[2]: number for number, bug in reversed([*enumerate(bugs)])}
        daily = sorted(daily.values())[:2]
        for number, bug in enumerate(bugs):
            kind = bug[2] if isinstance(bug[2], str) else "-".join(bug[2])
            words = f"{name}-{number}-{kind}".replace(" ", "_")
            marks = () if number in daily else pytest.mark.slow
            yield pytest.param(name, *bug, id=words, marks=marks)


@pytest.mark.parametrize(("name", "old", "new", "kind"), [*each()])
def test_a_planted_bug_is_found_and_named(judge, name, old, new, kind):
    solution = text_of(exercise_of(name), solved=True)
    task, end, code = solution.partition('\n"""\n')
    assert old in code
    # What is looked for is the kind, and not the smallest case of it.
    text, search = task + end + code.replace(old, new, 1), Search(steps=0)
    kinds = {kind} if isinstance(kind, str) else set(kind)
    found = judge(name, text, search=search, until=lambda one: one.kind in kinds)
    failed = {each.kind: each for each in found.values() if not each.passed}
    named = kinds & failed.keys()
    assert named, failed or "it passed"
    assert all(failed[each].message for each in named)


@pytest.mark.parametrize("name", SHEETS)
def test_every_exercise_has_planted_bugs_of_several_kinds(name):
    assert len(PLANTED[name]) >= 5
    assert len({kind for *_, kind in PLANTED[name]}) >= 3
