"""Exercise: the pullbacks of a product."""

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise

exercise = Exercise(
    name="mul",
    title="the pullbacks of a product",
    task="""
    An op returns its value, and then one pullback for each argument: a function that
    takes g, the gradient of the loss with respect to the value, and returns the
    gradient with respect to that argument. Write both for z = x · y, element by
    element:

        dL/dx = g · y        dL/dy = g · x

    x, y and z are arrays. Write as if x and y had one shape: where one of them is
    stretched to the shape of the other (broadcast), @op sums its gradient afterwards.
    That is the exercise `unbroadcast`.

    This is the op of a difference. Yours has the same form: one `return`, with the
    value and two functions.

        @op
        def sub(x, y):
            return x - y, lambda g: g, lambda g: -g

    A pullback makes a new array: it never writes into x, y or g.
    """,
    read="""the tour (minillm/README.md), stops 2 and 3.""",
    cut=Cut("minillm.ops.arithmetic", {"mul": ""}),
    hints=(
        "Keep y as it is and move x by a little: by how much does each z move? On its "
        "way to x, g is multiplied by that factor.",
        "The function returns three things, in a tuple: a value and two functions of "
        "one argument g. `lambda g: …` is a short way to write such a function.",
        "return x * y, lambda g: g * ..., lambda g: g * ...   (which number stands "
        "beside x in the product?)",
    ),
    forbidden=("definition_of",),
)


def stretched(c: Cases) -> dict:
    full, shape = c.stretched()
    x, y = c.one_of((full, shape), (shape, full))
    return {"x": c.numbers(x), "y": c.numbers(y)}


def alike(c: Cases) -> dict:
    shape = c.shape()
    return {"x": c.numbers(shape), "y": c.numbers(shape)}


@exercise.property(points=1, inputs=stretched)
def value(student, x, y):
    """mul(x, y) is x · y, also where one of them is broadcast."""
    looking.equal(
        student.mul(x, y),
        x * y,
        "mul(x, y)",
        instead=[("value", x + y, "This is a sum.")],
    )


@exercise.property(points=2, inputs=alike)
def gradients(student, x, y):
    """The gradients of x and y are those that differences of mul say."""
    looking.gradients(student.mul, x, y)


@exercise.property(points=1, inputs=stretched)
def broadcast(student, x, y):
    """The gradients are right where x or y is broadcast."""
    looking.gradients(student.mul, x, y)


@exercise.property(points=1, inputs=alike)
def types(student, x, y):
    """float32 in, float32 out; float64 in, float64 out."""
    looking.types(student.mul, x, y)
