"""Small random changes of each solution: nearly all fail the check of its exercise."""

import contextlib
import random
import signal
import warnings
from collections.abc import Iterator

import pytest
from equivalent import EQUIVALENT
from mutants import mutants

from minillm.exercises.cases import Search
from minillm.exercises.table import SHEETS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(signal, "setitimer"), reason="a loop without end needs a timer"
    ),
]
EACH = 30  # mutants of an exercise, at most
CAUGHT = 0.95  # of all
SECONDS = 6  # of CPU
LEFT: dict[str, list] = {}  # exercise -> [how many mutants, those that pass]


class _Endless(BaseException):
    """No exception that a student's code, or Hypothesis, would take for its own."""


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """What runs too long is ended."""

    def end(*_):
        raise _Endless

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def passes(judge, name: str, text: str) -> bool:
    """Whether the check of an exercise finds nothing wrong; one failure is enough."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with limited():
                found = judge(
                    *(name, text),
                    search=Search(failures=1, steps=0),
                    until=lambda one: not one.passed,
                )
        except _Endless:
            return False
    return all(each.passed for each in found.values())


@pytest.mark.parametrize("name", SHEETS)
def test_mutants_of_an_exercise(judge, name):
    every = mutants(name)
    equivalent = {words for other, words, _ in EQUIVALENT if other == name}
    # Who is listed must be there: the list is of this text, not of an earlier one.
    assert equivalent <= {words for words, _ in every}
    real = [each for each in every if each[0] not in equivalent]
    drawn = random.Random(name).sample(real, min(EACH, len(real)))
    left = [words for words, text in drawn if passes(judge, name, text)]
    LEFT[name] = [len(drawn), left]
    print(f"{name}: {len(drawn) - len(left)} of {len(drawn)} mutants caught", *left)
    assert len(left) <= max(1, len(drawn) // 5), left


def test_nearly_all_mutants_are_caught():
    """Of those of the tests above; alone it has nothing to look at."""
    if set(LEFT) != set(SHEETS):
        pytest.skip("the mutants of some exercises were not tried")
    drawn = sum(n for n, _ in LEFT.values())
    left = {name: rest for name, (_, rest) in LEFT.items() if rest}
    caught = 1 - sum(map(len, left.values())) / drawn
    print(f"{caught:.1%} of {drawn} mutants caught")
    assert caught >= CAUGHT, left
