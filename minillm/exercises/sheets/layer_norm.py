"""Exercise: layer norm, forward and backward."""

import math
import statistics

import numpy as np

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise

exercise = Exercise(
    name="layer_norm",
    title="layer norm, forward and backward",
    task="""
    Each row x of D numbers, the last axis, is centred and scaled; then every feature
    has its own gain and bias (Ba et al. 2016, eq. 4):

        unit = (x − mean(x)) / sqrt(variance(x) + eps)
        y = unit · gain + bias

    The variance is the mean of (x − mean)²: divided by D, not by D − 1. x (..., D),
    gain (D,), bias (D,) or None -> (..., D). Call what the pullback uses `unit` and
    `inverse_sd` (1 / sqrt(variance + eps)), and the value `y`.

    The mean and the scale were computed from x too, so their parts are subtracted. With
    gu = g · gain and the means over the last axis:

        dL/dx = (gu − mean(gu) − unit · mean(gu · unit)) · inverse_sd
        dL/dgain = Σ g · unit        dL/dbias = Σ g        over all rows

    It is one pullback for all three arguments, since they share their work: `joint`. It
    returns the three gradients; that of a bias which is None is not used. Two helpers:
    `mean_of_rows(x)` is the mean over the last axis, which stays with length 1, and
    `as_rows` makes a matrix of rows of (..., D).
    """,
    read="""the tour, stop 3; `rms_norm` in minillm/ops/llama.py is the same without
    the mean.""",
    cut=Cut(
        "minillm.ops.neural",
        {"layer_norm": ("centred =", "def pullback"), "layer_norm.pullback": ""},
    ),
    hints=(
        "x − mean is used twice: in the variance and in unit. eps stands under the "
        "root. Where bias is None, nothing is added.",
        "gain (D,) is used once for each row: its gradient is a sum over rows, "
        "as_rows(g * unit).sum(0). That of x stays in its row.",
        "centred = x - mean_of_rows(x); inverse_sd = 1 / xp.sqrt(mean_of_rows("
        "centred * centred) + eps); gu = g * gain, then the formula of dL/dx, and "
        "return gx, as_rows(g * unit).sum(0), as_rows(g).sum(0).",
    ),
    forbidden=("LayerNorm",),
)


def rows(c: Cases) -> dict:
    lead, d = c.shape(max_dims=2), c.integer(2, 5)
    return {
        "x": c.numbers((*lead, d)),
        "gain": c.numbers((d,)),
        "bias": c.numbers((d,)),
    }


def many(c: Cases) -> dict:
    """Three rows at least: a factor of 1/2 could be anything."""
    n, d = c.integer(3, 5), c.integer(2, 4)
    return {"x": c.numbers((n, d)), "gain": c.numbers((d,)), "bias": c.numbers((d,))}


def without_bias(c: Cases) -> dict:
    return {**rows(c), "bias": None}


def squares(c: Cases) -> dict:
    """As many rows as features: a mean over the wrong axis has the same shape."""
    d = c.integer(2, 4)
    return {"x": c.numbers((d, d)), "gain": c.numbers((d,)), "bias": c.numbers((d,))}


def reference(x, gain, bias, eps=1e-5, *, less: int = 0, root=True, more: float = 0):
    """One row at a time in Python's own numbers. less: 1 divides by D − 1; more: added
    to the root."""
    found = []
    for row in x.reshape(-1, x.shape[-1]).tolist():
        mean = statistics.fmean(row)
        variance = math.fsum((v - mean) ** 2 for v in row) / (len(row) - less)
        scale = (math.sqrt(variance + eps) if root else variance + eps) + more
        found.append([(v - mean) / scale for v in row])
    y = np.array(found).reshape(x.shape) * gain
    return y if bias is None else y + bias


def look(student, x, gain, bias, eps=1e-5) -> None:
    mistakes = [
        (
            "scale",
            reference(x, gain, bias, eps, less=1),
            "The variance is divided by D − 1: it is the mean of squares, over D.",
        ),
        (
            "scale",
            reference(x, gain, bias, eps, root=False),
            "It is divided by the variance: its square root is missing.",
        ),
        (
            "scale",
            reference(x, gain, bias, 0) if np.ptp(x, -1).all() else np.array(None),
            "eps is missing under the root.",
        ),
        (
            "scale",
            reference(x, gain, bias, 0, more=eps),
            "eps is added to the root: it belongs under it, to the variance.",
        ),
        ("missing terms", reference(x, gain, None, eps), "The bias is missing."),
        (
            "missing terms",
            reference(x, np.ones_like(gain), bias, eps),
            "The gain is missing.",
        ),
    ]
    if x.ndim > 1:
        says = "The {} of axis 0: it is that of the last."
        for what, mean, variance in (
            ("mean is that", x.mean(0), None),
            ("mean and the variance are those", x.mean(0), x.var(0)),
        ):
            centred = x - mean
            if variance is None:
                variance = (centred**2).mean(-1, keepdims=True)
            across = centred / np.sqrt(variance + eps) * gain
            across = across if bias is None else across + bias
            mistakes.append(("wrong axis", across, says.format(what)))
    found = student.layer_norm(x, gain, bias, eps=eps)
    expected = reference(x, gain, bias, eps)
    mistakes = [each for each in mistakes if each[1].dtype != object]
    looking.equal(found, expected, "layer_norm(x, gain, bias)", instead=mistakes)


@exercise.property(points=1, inputs=rows)
def value(student, x, gain, bias):
    """Each row is centred and scaled, then gain and bias are applied."""
    look(student, x, gain, bias, eps=0.01)


@exercise.property(points=1, inputs=squares)
def the_axis(student, x, gain, bias):
    """Mean and variance are those of the last axis."""
    look(student, x, gain, bias)


@exercise.property(points=1, inputs=without_bias)
def no_bias(student, x, gain, bias):
    """The bias may be None."""
    look(student, x, gain, bias)


@exercise.property(points=1, inputs=rows)
def a_constant_row(student, x, gain, bias):
    """A row of equal numbers gives the bias, and no nan."""
    x = np.ones_like(x)
    found = student.layer_norm(x, gain, bias)
    looking.equal(found, np.broadcast_to(bias, x.shape), "layer_norm of a row of ones")


@exercise.property(points=3, inputs=rows)
def gradient_of_x(student, x, gain, bias):
    """The gradient of x is right: the mean and the scale depend on x too."""
    looking.gradients(student.layer_norm, x, gain, bias, only=("x",), eps=0.1)


@exercise.property(points=2, inputs=many)
def gradients_of_gain_and_bias(student, x, gain, bias):
    """The gradients of gain and bias are sums over all rows."""
    looking.gradients(student.layer_norm, x, gain, bias, only=("gain", "bias"))


@exercise.property(points=1, inputs=rows)
def types(student, x, gain, bias):
    """float32 in, float32 out; nothing is written into."""
    looking.types(student.layer_norm, x, gain, bias)
    looking.gradients(student.layer_norm, x, gain, bias, eps=0.1)
