"""Exercise: softmax and its logarithm, forward and backward."""

import numpy as np

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise

exercise = Exercise(
    name="softmax",
    title="softmax and its logarithm",
    task="""
    Softmax turns numbers into weights that are positive and sum to 1 along an axis:

        softmax(x)ᵢ = exp(xᵢ) / Σⱼ exp(xⱼ)
        log_softmax(x)ᵢ = xᵢ − log Σⱼ exp(xⱼ)

    Both stay the same if one number is subtracted from all of a row. Subtract the
    largest: exp then cannot overflow, not even for x = 1000.

    x and the value have any one shape; `axis` is one axis, which may be negative.
    Each function returns its value y and one pullback. With sums along the axis:

        softmax:       dL/dxᵢ = yᵢ (gᵢ − Σⱼ gⱼ yⱼ)
        log_softmax:   dL/dxᵢ = gᵢ − exp(yᵢ) Σⱼ gⱼ

    A row of nothing but −∞ (everything is masked) becomes zeros in softmax, and not
    nan. (log_softmax of such a row may be nan.)
    """,
    read="""the tour, stop 3; `logsumexp` in minillm/ops/statistics.py, which subtracts
    the largest in the same way.""",
    cut=Cut("minillm.ops.neural", {"softmax": "largest =", "log_softmax": "z ="}),
    hints=(
        "`keepdims=True` keeps an axis that is reduced, with length 1, so that the "
        "result can be subtracted from x, or x divided by it.",
        "The value y is all that the pullback needs: it is computed once, and the "
        "inner function uses it.",
        "e = xp.exp(x - x.max(axis, keepdims=True)); y = e / e.sum(axis, "
        "keepdims=True). In a row of −∞, x − max is nan: by xp.where, take 0 instead "
        "of that maximum, and 1 instead of a sum that is 0.",
    ),
)


def rows(c: Cases) -> dict:
    shape = c.shape(min_dims=1)
    return {"x": c.numbers(shape), "axis": c.axis(len(shape))}


def large(c: Cases) -> dict:
    return {**rows(c), "shift": float(c.one_of(800, 1000))}


def masked(c: Cases) -> dict:
    """Rows of −∞, or of a number and −∞ behind it."""
    x = c.numbers(c.shape(min_dims=1))
    x[..., c.integer(0, 1) :] = -np.inf
    return {"x": x}


def reference(x: np.ndarray, axis: int) -> np.ndarray:
    """One row at a time, in Python's own numbers."""
    from math import exp, fsum

    def of_row(row):
        total = fsum(exp(each - max(row)) for each in row)
        return [exp(each - max(row)) / total for each in row]

    return np.apply_along_axis(of_row, axis, x)


def others(x: np.ndarray, axis: int) -> list:
    """Values of common mistakes."""
    found = [
        ("wrong axis", reference(x, a), f"This is the softmax along axis {a}.")
        for a in range(x.ndim)
        if a != axis % x.ndim
    ]
    e = np.exp(x - x.max(axis, keepdims=True))
    found += [
        ("wrong axis", e / e.sum(a, keepdims=True), f"The sum runs along axis {a}.")
        for a in range(x.ndim)
        if a != axis % x.ndim
    ]
    says = "The sum runs over all axes."
    wholes = np.exp(x) / np.exp(x).sum(), e / e.sum()
    return [*found, *(("wrong axis", whole, says) for whole in wholes)]


@exercise.property(points=1, inputs=rows)
def value(student, x, axis):
    """softmax(x, axis) is exp(x) / Σ exp(x) along the axis."""
    what = f"softmax(x, axis={axis})"
    found = student.softmax(x, axis=axis)
    looking.equal(found, reference(x, axis), what, instead=others(x, axis))


@exercise.property(points=1, inputs=large)
def no_overflow(student, x, axis, shift):
    """Large numbers give the same weights: softmax(x + 1000) is softmax(x)."""
    what = f"softmax(x + {shift:g}, axis={axis})"
    found = student.softmax(x + shift, axis=axis)
    looking.equal(found, reference(x, axis), what, instead=others(x, axis))


@exercise.property(points=1, inputs=masked)
def masked_row(student, x):
    """A row of nothing but −∞ becomes zeros; −∞ beside numbers gets weight 0."""
    found = student.softmax(x, axis=-1)
    looking.equal(found, np.isfinite(x).astype(float), "softmax(x, axis=-1)")


@exercise.property(points=2, inputs=rows)
def gradient(student, x, axis):
    """The gradient of softmax is that of its differences."""
    looking.gradients(student.softmax, x, axis=axis)


@exercise.property(points=1, inputs=large)
def logarithm(student, x, axis, shift):
    """log_softmax is the logarithm of softmax, for large numbers too."""
    what = f"log_softmax(x + {shift:g}, axis={axis})"
    expected = np.log(reference(x, axis))
    instead = [
        (kind, np.log(y), says.replace("softmax", "log_softmax"))
        for kind, y, says in others(x, axis)
    ]
    found = student.log_softmax(x + shift, axis=axis)
    looking.equal(found, expected, what, instead=instead)


@exercise.property(points=2, inputs=rows)
def gradient_of_the_logarithm(student, x, axis):
    """The gradient of log_softmax is that of its differences."""
    looking.gradients(student.log_softmax, x, axis=axis)


@exercise.property(points=1, inputs=rows)
def types(student, x, axis):
    """float32 in, float32 out."""
    looking.types(student.softmax, x, axis=axis)
    looking.types(student.log_softmax, x, axis=axis)
