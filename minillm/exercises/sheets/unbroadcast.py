"""Exercise: a gradient is summed over the axes along which an array was stretched."""

import numpy as np

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise, Failure
from minillm.tensor import op

exercise = Exercise(
    name="unbroadcast",
    title="a gradient is summed over the axes that were stretched",
    task="""
    NumPy computes x + y for shapes (4, 3) and (3,): y is stretched, that is, used once
    for each of the 4 rows. A number that is used 4 times has 4 parts in its gradient,
    and they are added up. So a gradient g of shape (4, 3) becomes one of shape (3,).

    `unbroadcast(g, shape)` returns the gradient of an array of this shape, where g has
    the shape that the array was stretched to. There are two ways to be stretched:

        axes that are missing in front:   (3,)   -> (4, 3)    `leading` of them
        axes of length 1:                 (4, 1) -> (4, 3)

    Sum over both kinds. The result has exactly this shape: an axis of length 1 is
    there, a missing one is not. What does not fit is refused above the blank.
    """,
    read="""NumPy's page "Broadcasting"; the tour, stop 2.""",
    cut=Cut("minillm.backend.pullbacks", {"unbroadcast": "stretched ="}),
    hints=(
        "Write shape below g.shape, so that both end at the right edge. Which axes of "
        "g are summed where (3, 1) stands below (2, 3, 4)?",
        "The first `leading` axes of g are missing in shape. Axis i of shape is axis "
        "leading + i of g. `g.sum` takes a tuple of axes.",
        "stretched = [leading + i for i, n in enumerate(shape) if n == 1]; then sum "
        "over these axes and the `leading` first ones, and reshape to shape.",
    ),
    forbidden=("contributions",),
)


def stretched(c: Cases) -> dict:
    full, shape = c.stretched()
    return {"g": c.numbers(full), "shape": shape}


def leading_only(c: Cases) -> dict:
    full = c.shape(min_dims=1)
    return {"g": c.numbers(full), "shape": full[c.integer(1, len(full)) :]}


def ones_only(c: Cases) -> dict:
    full = c.shape(min_dims=1)
    return {
        "g": c.numbers(full),
        "shape": tuple(1 if c.integer(0, 1) else n for n in full),
    }


def transposed_sum(g: np.ndarray, shape: tuple) -> np.ndarray:
    """In another way than the engine: each number of g is added where it came from."""
    total = np.zeros(shape)
    places = np.broadcast_to(np.arange(total.size).reshape(shape), g.shape)
    np.add.at(total.reshape(-1), places.reshape(-1), g.reshape(-1))
    return total


def look(student, g, shape) -> None:
    found = student.unbroadcast(g, shape)
    expected = transposed_sum(g, shape)
    what = f"unbroadcast(g, {shape})"
    ratio = max(g.size // max(expected.size, 1), 1)
    looking.equal(
        found,
        expected,
        what,
        instead=[
            ("unbroadcast", g, "g comes back as it is: no axis is summed."),
            ("scale", expected / ratio, "This is a mean: add the parts up."),
        ],
    )


@exercise.property(points=1, inputs=leading_only)
def missing_axes(student, g, shape):
    """Axes that are missing in front are summed away."""
    look(student, g, shape)


@exercise.property(points=1, inputs=ones_only)
def axes_of_length_1(student, g, shape):
    """Axes of length 1 are summed, and stay."""
    look(student, g, shape)


@exercise.property(points=2, inputs=stretched)
def both(student, g, shape):
    """Both kinds of axes at once."""
    look(student, g, shape)


@exercise.property(points=1, inputs=stretched)
def in_an_op(student, g, shape):
    """A sum of a stretched array and another one has the right gradient, with this
    function in the place of the engine's."""

    @op
    def stretched_sum(x, y):
        return x + y, lambda g: student.unbroadcast(g, shape), lambda g: g

    x = np.linspace(-1, 1, int(np.prod(shape, dtype=int))).reshape(shape)
    looking.gradients(stretched_sum, x, g)


@exercise.property(points=1, inputs=stretched)
def type_and_memory(student, g, shape):
    """float32 stays float32, and g is not written into."""
    found = looking.array_of(student.unbroadcast(g.astype("float32"), shape), "it")
    if found.dtype != np.float32:
        raise Failure("float64", f"g is float32, what comes back is {found.dtype}")
