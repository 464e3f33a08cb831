"""Exercise: clipping a gradient by its norm."""

import math

import numpy as np

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise, Failure

exercise = Exercise(
    name="clipping",
    title="clipping by the norm of the whole gradient",
    task="""
    A single bad batch can give a gradient a hundred times as long as others. It is
    made shorter, in its own direction (Pascanu et al. 2013, algorithm 1):

        norm = √(Σ g²)                        over *all* parameters together
        g ← g · min(1, clip / norm)

    Three small functions:

    1. `squared_norm(grad)`: Σ g² of one array.

    2. `global_norm(parts)`: the norm of the whole gradient from the squared norms of
       its parts, each an array of one number. Norms of parts do not add up; their
       squares do. `to_numpy(part).item()` makes a Python number of a part.

    3. `clip_scale(norm, clip)`: what to multiply the gradient by. Never more than 1: a
       short gradient stays as it is. `clip` of 0 means no limit, and a norm of 0 leaves
       nothing to scale.
    """,
    read="""the tour, stop 6; `Learner.step` in minillm/learning/learner.py, which
    calls them.""",
    cut=Cut(
        "minillm.learning.optimizer",
        {"squared_norm": "", "clip_scale": "", "global_norm": ""},
    ),
    hints=(
        "The norm of (3, 4) is 5: √(3² + 4²). Where 3 and 4 are two parts, their "
        "squared norms are 9 and 16.",
        "min(1.0, clip / norm) is at most 1. Where must this division not happen?",
        "global_norm: math.sqrt(sum(to_numpy(part).item() for part in parts)); "
        "clip_scale: 1.0 where clip or norm is 0",
    ),
)


def gradient(c: Cases) -> dict:
    return {"grad": c.numbers((c.integer(1, 6),))}


def some_parts(c: Cases) -> dict:
    return {"parts": [np.array(float(c.integer(1, 9))) for _ in range(c.integer(1, 4))]}


def limits(c: Cases) -> dict:
    return {
        "norm": c.one_of(0.5, 0.9, 2.0, 7.0),
        "clip": c.one_of(0.25, 1.0, 3.0),
    }


def number(found, what: str) -> float:
    array = looking.array_of(found, what)
    if array.size != 1:
        raise Failure("shape", f"{what} has shape {array.shape}; it is one number")
    return array.reshape(())


@exercise.property(points=1, inputs=gradient)
def sum_of_squares(student, grad):
    """squared_norm(grad) is Σ g²."""
    total = math.fsum(each * each for each in grad.tolist())
    looking.equal(
        number(student.squared_norm(grad), "squared_norm(grad)"),
        np.array(total),
        "squared_norm(grad)",
        instead=[
            ("value", np.array(math.sqrt(total)), "This is the norm, not its square."),
            ("value", np.array(grad.sum() ** 2), "Square each number, then add."),
            ("scale", np.array(total / len(grad)), "This is a mean: Σ is a sum."),
        ],
    )


@exercise.property(points=2, inputs=some_parts)
def norm_of_all_parts(student, parts):
    """global_norm(parts) is the root of the sum of all parts."""
    squares = [float(part) for part in parts]
    looking.equal(
        number(student.global_norm(parts), "global_norm(parts)"),
        np.array(math.sqrt(math.fsum(squares))),
        f"global_norm of parts {squares}",
        instead=[
            ("value", np.array(math.fsum(squares)), "The square root is missing."),
            (
                "order",
                np.array(math.fsum(map(math.sqrt, squares))),
                "Norms are added up: add the squares, then take the root.",
            ),
            (
                "order",
                np.array(math.sqrt(math.fsum(s * s for s in squares))),
                "The parts are squared once more: they are squares already.",
            ),
            ("missing terms", np.array(math.sqrt(squares[0])), "One part is counted."),
        ],
    )


@exercise.property(points=2, inputs=limits)
def scale(student, norm, clip):
    """A gradient that is too long gets the length `clip`; a short one stays."""
    expected = clip / norm if norm > clip else 1.0
    looking.equal(
        number(student.clip_scale(norm, clip), "clip_scale(norm, clip)"),
        np.array(expected),
        f"clip_scale({norm}, {clip})",
        instead=[
            ("scale", np.array(clip / norm), "A short gradient is made longer."),
            ("order", np.array(min(1, norm / clip)), "The division is upside down."),
            ("value", np.array(min(norm, clip)), "This is a length, not a factor."),
        ],
    )


@exercise.property(points=1)
def no_limit(student):
    """A clip of 0 means no limit, and a norm of 0 is no error: the factor is 1."""
    for norm, clip in ((2.0, 0.0), (0.0, 1.0), (0.0, 0.0)):
        found = number(student.clip_scale(norm, clip), "clip_scale")
        if found != 1:
            raise Failure("value", f"clip_scale({norm}, {clip}) is {found}, not 1")


@exercise.property(points=1, inputs=gradient)
def types(student, grad):
    """float32 in, float32 out; the gradient is not written into."""
    found = student.squared_norm(grad.astype(np.float32))
    if getattr(found, "dtype", None) != np.float32:
        kind = getattr(found, "dtype", type(found).__name__)
        raise Failure("float64", f"squared_norm of float32 is {kind}")
