"""An exercise: its task, the part of the engine it is cut from, and its properties."""

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from minillm import testing

# What a check finds beside what is wrong with a gradient.
KINDS = testing.KINDS | {
    "unsolved": "the blank is still there",
    "absent": "the file, or the function in it, is not there",
    "syntax": "the file is no Python",
    "imported": "the file takes from elsewhere what it is to write",
    "error": "the student's code raises an exception",
    "type": "what comes back is no array, or one of another type",
    "value": "a number is not what it should be",
    "order": "the right things in a wrong order",
    "overwritten": "one part of a gradient replaces another one",
    "freed": "what has been used up can be used again",
    "padding": "what is ignored, masked or filled up counts",
    "time": "it does not end in time",
    "memory": "it asks for too much memory",
    "exit": "it ends the process",
    "process": "it starts another process",
}


class Failure(Exception):
    """A property does not hold; `kind` is one of KINDS."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        assert kind in KINDS, kind
        self.kind = kind


@dataclass(frozen=True)
class Cut:
    """Which part of a module a student gets, and which of it is blank.

    `blanks` maps a function of the module ("softmax", or one inside another,
    "layer_norm.pullback") to what is blank: "" for all below its docstring; "z =" for
    all from the statement that begins so; ("z =", "return") for the same up to a later
    statement, which stays. `also` are functions and constants of the module that the
    student gets whole.

    The module may be that of the exercise itself: where the engine has no such
    function, the solution stands there.
    """

    module: str
    blanks: Mapping[str, str | tuple[str, str]]
    also: tuple[str, ...] = ()

    @property
    def provides(self) -> tuple[str, ...]:
        """What is written in the exercise, and may be used in later ones."""
        return tuple(dict.fromkeys(name.partition(".")[0] for name in self.blanks))


@dataclass(frozen=True)
class Property:
    """One thing that a solution must do, worth some points.

    `check(student, **inputs)` gets the student's module and raises where it does not
    hold; `inputs(c)` draws the inputs with a `Cases`, None where there are none.
    """

    name: str
    says: str
    points: int
    check: Callable
    inputs: Callable | None
    examples: int


@dataclass
class Exercise:
    """See `sheets/softmax.py` for one.

    task: what is to be done, with shapes and the formula; the docstring of the
    student's file. read: where the engine and the tour tell of it. hints: three, the
    last nearly gives it away. builds_on: names of earlier exercises whose functions are
    used. forbidden: other names under which the engine offers the same. seconds: for
    each property.
    """

    name: str
    title: str
    task: str
    read: str
    cut: Cut
    hints: tuple[str, str, str]
    builds_on: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    seconds: float = 20.0
    properties: list[Property] = field(default_factory=list)

    @property
    def points(self) -> int:
        return sum(each.points for each in self.properties)

    # The last of the class, since its name hides Python's own `property`.
    def property(
        self, *, points: int = 1, inputs: Callable | None = None, examples: int = 20
    ) -> Callable:
        """Enter a function as a property: its name and its docstring are told to the
        student."""

        def enter(check: Callable) -> Callable:
            name, says = check.__name__.replace("_", " "), inspect.getdoc(check) or ""
            self.properties.append(
                Property(name, " ".join(says.split()), points, check, inputs, examples)
            )
            return check

        return enter


@dataclass(frozen=True)
class Verdict:
    """Whether a property holds; if not, of which kind the mistake is, and in words."""

    name: str
    passed: bool
    kind: str | None = None
    message: str = ""


Student = types.ModuleType  # what a check gets
