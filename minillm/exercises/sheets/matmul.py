"""Exercise: the pullbacks of a matrix product."""

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise

exercise = Exercise(
    name="matmul",
    title="the pullbacks of a matrix product",
    task="""
    Z = X Y for matrices X of shape (n, k) and Y of shape (k, m); g is the gradient of
    the loss with respect to Z, of shape (n, m). Each number of X is used in a whole row
    of Z, each of Y in a whole column. Summed over all of them:

        dL/dX = g Yᵀ        (n, m) (m, k) -> (n, k)
        dL/dY = Xᵀ g        (k, n) (n, m) -> (k, m)

    There may be further axes in front, (..., n, k) and (..., k, m): a batch of
    matrices. Only the last two axes are transposed then, with `swapaxes(-1, -2)`; `.T`
    would reverse all axes. Where a batch axis is stretched, @op sums afterwards.

    A vector counts as a matrix of one row (on the left) or of one column (on the
    right): `rows` is X as a matrix, `columns` is Y as a matrix, and `restore(g)` is g
    as a matrix. Write the two lines that compute `gx` and `gy` with these three; the
    line below each takes the extra axis away again.
    """,
    read="""the tour, stop 3; NumPy's pages of `matmul` and `swapaxes`.""",
    cut=Cut(
        "minillm.ops.arithmetic",
        {"matmul.pull_x": ("gx =", "return"), "matmul.pull_y": ("gy =", "return")},
    ),
    hints=(
        "Let the shapes tell: g is (n, m), the other matrix has one of these two "
        "lengths. In which order, and with which one transposed, do they fit and give "
        "the shape of X?",
        "gx is a product of restore(g) and columns, in this order; one of the two is "
        "transposed. gy is a product of rows and restore(g).",
        "gx = restore(g) @ columns.swapaxes(-1, -2), and for gy the transposed matrix "
        "stands on the left.",
    ),
)


def sides(c: Cases) -> tuple[int, int, int]:
    """Often a square: a missing transposition shows its shape elsewhere."""
    n = c.integer(1, 3)
    return c.one_of((n, c.integer(1, 3), c.integer(1, 3)), (n + 1, n + 1, n + 1))


def matrices(c: Cases) -> dict:
    n, k, m = sides(c)
    return {"x": c.numbers((n, k)), "y": c.numbers((k, m))}


def batches(c: Cases) -> dict:
    n, k, m = sides(c)
    full, shape = c.stretched()
    one, other = c.one_of((full, full), (full, shape), (shape, full))
    return {"x": c.numbers((*one, n, k)), "y": c.numbers((*other, k, m))}


def vectors(c: Cases) -> dict:
    n, k, m = sides(c)
    x, y = c.one_of(((k,), (k, m)), ((n, k), (k,)), ((k,), (k,)), ((2, n, k), (k,)))
    return {"x": c.numbers(x), "y": c.numbers(y)}


@exercise.property(points=1, inputs=matrices)
def gradient_of_x(student, x, y):
    """The gradient of x is right for two matrices."""
    looking.gradients(student.matmul, x, y, only=("x",))


@exercise.property(points=1, inputs=matrices)
def gradient_of_y(student, x, y):
    """The gradient of y is right for two matrices."""
    looking.gradients(student.matmul, x, y, only=("y",))


@exercise.property(points=2, inputs=batches)
def batches_of_matrices(student, x, y):
    """Both gradients are right for batches, also where one is stretched."""
    looking.gradients(student.matmul, x, y)


@exercise.property(points=1, inputs=vectors)
def with_a_vector(student, x, y):
    """Both gradients are right where x, y or both are vectors."""
    looking.gradients(student.matmul, x, y)


@exercise.property(points=1, inputs=matrices)
def types(student, x, y):
    """float32 in, float32 out; float64 in, float64 out."""
    looking.types(student.matmul, x, y)
