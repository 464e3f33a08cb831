"""Exercise: GELU by tanh, forward and backward."""

import math

import numpy as np

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise
from minillm.testing.choices import Domain

C = math.sqrt(2 / math.pi)

exercise = Exercise(
    name="gelu",
    title="GELU, a smooth relu",
    task="""
    GELU multiplies a number by the probability that a normal variable lies below it,
    x·Φ(x): large numbers stay, negative ones become nearly 0. The usual approximation
    (Hendrycks & Gimpel 2016) is, with c = √(2/π):

        t = tanh(c (x + 0.044715 x³))
        gelu(x) = 0.5 x (1 + t)

    x has any shape. The slope of tanh(u) is 1 − tanh²(u), so by the product rule

        slope = 0.5 (1 + t) + 0.5 x (1 − t²) c (1 + 3 · 0.044715 x²)

    and dL/dx = g · slope. For a large number such as 1e20, x³ overflows in float32,
    and ∞ · 0 is nan. So compute x² first, and where it is above 100 take 100
    (`xp.minimum`): from x = 10 on, t is 1 anyway.

    Compute c by `math.sqrt`. A Python number leaves float32 as it is; the float64 of
    `np.sqrt` would turn the whole value into float64.

    The exact form, by erf, is there already.
    """,
    read="""the tour, stop 3; Hendrycks & Gimpel 2016, section 2; `sigmoid` in
    minillm/ops/elementwise.py.""",
    cut=Cut("minillm.ops.neural", {"gelu": "c ="}),
    hints=(
        "x³ = x · x²: with `squared` for x² the argument of tanh is "
        "c · x · (1 + 0.044715 · squared).",
        "Keep t and squared from the value: the pullback needs both. It is a function "
        "of g that multiplies g by the slope.",
        "squared = xp.minimum(x * x, 100); t = xp.tanh(c * x * (1 + 0.044715 * "
        "squared)); the pullback: g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * …)",
    ),
)


def numbers(c: Cases) -> dict:
    return {"x": c.numbers(c.shape(), Domain(-3.0, 3.0))}


def reference(x: np.ndarray) -> np.ndarray:
    """One number at a time."""

    def of_one(x: float) -> float:
        return 0.5 * x * (1 + math.tanh(C * (x + 0.044715 * x**3)))

    return np.array([of_one(float(each)) for each in x.reshape(-1)]).reshape(x.shape)


@exercise.property(points=2, inputs=numbers)
def value(student, x):
    """gelu(x) is 0.5 x (1 + tanh(c (x + 0.044715 x³)))."""
    t = np.tanh(C * (x + 0.044715 * x**3))
    looking.equal(
        student.gelu(x),
        reference(x),
        "gelu(x)",
        instead=[
            ("value", 0.5 * x * (1 - t), "The tanh is subtracted: 1 + t is meant."),
            ("value", 0.5 * (1 + t), "The factor x is missing."),
            ("factor", x * (1 + t), "The factor 0.5 is missing."),
            (
                "value",
                0.5 * x * (1 + np.tanh(x + 0.044715 * x**3)),
                "The factor c = √(2/π) is missing.",
            ),
            (
                "value",
                0.5 * x * (1 + np.tanh(C * (x + 0.044715 * x**2))),
                "x² stands in the place of x³.",
            ),
        ],
    )


@exercise.property(points=2, inputs=numbers)
def gradient(student, x):
    """The gradient is that of its differences."""
    looking.gradients(student.gelu, x)


@exercise.property(points=1)
def far_out(student):
    """Large numbers: gelu(1e20) is 1e20, gelu(−1e20) is 0, the slopes are 1 and 0."""
    from minillm.tensor import Tensor

    x = Tensor(np.array([1e20, -1e20], np.float32), requires_grad=True)
    y = student.gelu(x)
    what = "gelu([1e20, −1e20])"
    looking.equal(y, np.array([1e20, 0]), what, tolerance=1e-6)
    y.backward(np.ones(2, np.float32))
    slopes = np.array([1.0, 0.0])
    looking.equal(x.grad, slopes, f"the slopes of {what}", tolerance=1e-6)


@exercise.property(points=1, inputs=numbers)
def types(student, x):
    """float32 in, float32 out."""
    looking.types(student.gelu, x)
