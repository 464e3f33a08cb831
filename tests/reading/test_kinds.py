"""Kinds of values: what fits, and where something does not."""

import pytest

from minillm.kinds import COUNT, NOT_NEGATIVE, NUMBER, Number, check

KIND = {
    "n": COUNT,
    "x?": NUMBER,
    "names?": [str],
    "ends?": [NUMBER, NUMBER],
    "inner?": {str: {"on": bool}},
    "one?": ("a", "b", True),
}
GOOD = [
    {"n": 0},
    {"n": 2**63 - 1, "x": None, "other": object()},
    {"n": 1, "x": -1.5, "names": [], "ends": [1, 2.0], "inner": {}, "one": True},
    {"n": 1, "names": ["a", "b"], "inner": {"p": {"on": False}}, "one": "b"},
]
# (the value, what is said of it)
BAD = [
    ([], "it must hold an object, got []"),
    ({}, "n is missing"),
    ({"n": None}, "n is missing"),
    ({"n": True}, "n must be a whole number from 0 to 9.223e+18, got True"),
    ({"n": 1.0}, "n must be a whole number"),
    ({"n": -1}, "n must be a whole number"),
    ({"n": 2**63}, "n must be a whole number"),
    ({"n": 1, "x": float("nan")}, "x must be a number from -1e+30 to 1e+30, got nan"),
    ({"n": 1, "x": "1"}, "x must be a number"),
    ({"n": 1, "names": "ab"}, "names must be a list, got 'ab'"),
    ({"n": 1, "names": ["a", 1]}, "names[1] must be text, got 1"),
    ({"n": 1, "ends": [1]}, "ends must be a list of 2, got [1]"),
    ({"n": 1, "ends": [1, None]}, "ends[1] must be a number"),
    ({"n": 1, "inner": {"p": {"on": 1}}}, "inner.p.on must be true or false, got 1"),
    ({"n": 1, "inner": {"p": {}}}, "inner.p.on is missing"),
    ({"n": 1, "one": 1}, "one must be one of a, b, True, got 1"),
    ({"n": 1, "one": []}, "one must be one of"),
    ({"n": 1, "x": "a" * 999}, "got 'aaaaaaaaaaaa...aaaaaaaaaaaaa'"),
]


@pytest.mark.parametrize("value", GOOD)
def test_what_fits_passes(value):
    check(value, KIND)


@pytest.mark.parametrize(("value", "says"), BAD)
def test_what_does_not_fit_is_named(value, says):
    with pytest.raises(ValueError) as caught:
        check(value, KIND)
    assert says in str(caught.value)


def test_both_ends_belong_to_a_number():
    kind = Number(1, 3)
    assert [kind.holds(x) for x in (0.9, 1, 2.5, 3, 3.1)] == [False, *[True] * 3, False]
    assert NOT_NEGATIVE.holds(0)
