"""Mistakes of students in elementwise ops, sums, shapes and matrix products, and the
kinds that the check names."""

import numpy as np
import pytest

from minillm.tensor import op
from minillm.testing import CheckError, check_gradients

RNG = np.random.default_rng(11)
# Lengths differ from each other and from 2: a factor then tells which it is.
X = RNG.standard_normal((3, 5))
Y = RNG.standard_normal((3, 5))
SQUARE = RNG.standard_normal((4, 4))
SQUARE2 = RNG.standard_normal((4, 4))
ROW = RNG.standard_normal(5)
W = RNG.standard_normal((5, 4))


def stretched(g, shape, axis):
    return np.broadcast_to(np.expand_dims(g, axis), shape).copy()


WRONG = []


def mistake(kind, *arrays, **settings):
    """Enter the rule, with its kind and the arrays and settings to check it on."""

    def enter(rule):
        WRONG.append(pytest.param(rule, kind, arrays, settings, id=rule.__name__))
        return rule

    return enter


@mistake("swapped", X, Y)
def mul_swapped(x, y):
    """Each gets its own number instead of the other's."""
    return x * y, lambda g: g * x, lambda g: g * y


@mistake("ignores g", X, Y)
def mul_without_g(x, y):
    """The chain rule is forgotten."""
    return x * y, lambda g: y, lambda g: g * x


@mistake("nonlinear", X)
def square_g(x):
    """g comes in twice."""
    return x * x, lambda g: 2 * x * g * g


@mistake("sign", X, Y)
def sub_sign(x, y):
    """The minus of y is forgotten."""
    return x - y, lambda g: g, lambda g: g


@mistake("sign", X + 6)
def reciprocal_sign(x):
    """The derivative of 1/x is −1/x²."""
    return 1 / x, lambda g: g / x**2


@mistake("factor", X)
def square_half(x):
    """The 2 of 2x is forgotten."""
    return x * x, lambda g: g * x


@mistake("factor", X)
def cube_third(x):
    """The 3 is forgotten; no length, although an axis is as long."""
    return x**3, lambda g: g * x**2


@mistake("factor", np.abs(X) + 1)
def sqrt_twice(x):
    """1/√x instead of 1/(2√x)."""
    return np.sqrt(x), lambda g: g / np.sqrt(x)


@mistake("zero", X, Y)
def add_zero(x, y):
    """y is taken for a constant."""
    return x + y, lambda g: g, lambda g: np.zeros_like(y)


@mistake("wrong", X)
def tanh_formula(x):
    """1 − y instead of 1 − y²."""
    y = np.tanh(x)
    return y, lambda g: g * (1 - y)


@mistake("wrong", np.abs(X) + 1)
def log_formula(x):
    """The value again instead of the slope."""
    return np.log(x), lambda g: g * np.log(x)


@mistake("wrong", X)
def sigmoid_formula(x):
    """y alone instead of y·(1 − y)."""
    y = 1 / (1 + np.exp(-x))
    return y, lambda g: g * y


@mistake("extra terms", X)
def relu_everywhere(x):
    """The mask is forgotten."""
    return np.maximum(x, 0), lambda g: g


@mistake("nonlinear", X)
def relu_of_g(x):
    """The mask is that of g instead of that of x."""
    return np.maximum(x, 0), lambda g: g * (g > 0)


@mistake("wrong", X)
def leaky_inside_out(x):
    """The two slopes change places."""
    return np.where(x > 0, x, 0.1 * x), lambda g: g * np.where(x > 0, 0.1, 1.0)


@mistake("elements", X)
def abs_once(x):
    """One row of signs is wrong."""
    signs = np.sign(x)
    signs[1, 2] *= -1
    return np.abs(x), lambda g: g * signs


@mistake("scale", X)
def mean_as_sum(x):
    """1/n is forgotten."""
    return x.mean(1), lambda g: stretched(g, x.shape, 1)


@mistake("scale", X)
def sum_as_mean(x):
    """1/n too much."""
    return x.sum(1), lambda g: stretched(g, x.shape, 1) / x.shape[1]


@mistake("scale", X)
def mean_of_the_wrong_axis(x):
    """n is the other axis."""
    return x.mean(1), lambda g: stretched(g, x.shape, 1) / x.shape[0]


@mistake("scale", X)
def mean_over_all(x):
    """1/n of one axis instead of all."""
    return x.mean(), lambda g: np.full_like(x, g) / x.shape[0]


@mistake("wrong axis", SQUARE)
def sum_other_axis(x):
    """g is stretched along the other axis."""
    return x.sum(1), lambda g: stretched(g, x.shape, 0)


@mistake("shape", X)
def sum_not_stretched(x):
    """g is handed on as it is."""
    return x.sum(1), lambda g: g


@mistake("transposed", X)
def transpose_forgotten(x):
    """g is not turned back."""
    return x.T * 1, lambda g: g


@mistake("transposed", SQUARE)
def transpose_of_square(x):
    """The same where the shape fits."""
    return x.T * 1, lambda g: g * 1


@mistake("unbroadcast", RNG.standard_normal(3))
def column_not_summed(x):
    """x is stretched along axis 1, its gradient is not summed."""
    return np.repeat(x[:, None], 5, 1), lambda g: g


@mistake("missing terms", ROW)
def row_of_the_first(b):
    """Of a broadcast row only the first copy is counted."""
    return np.tile(b, (3, 1)), lambda g: g[0]


@mistake("wrong axis", RNG.standard_normal(4))
def row_summed_along_itself(b):
    """The sum runs over the wrong axis."""
    return np.tile(b, (4, 1)), lambda g: g.sum(1)


@mistake("scale", ROW)
def row_averaged(b):
    """The mean over the batch instead of the sum."""
    return np.tile(b, (3, 1)), lambda g: g.mean(0)


@mistake("transposed", RNG.standard_normal(6))
def cumsum_forwards(x):
    """The sum runs the same way as in the forward."""
    return np.cumsum(x), lambda g: np.cumsum(g)


@mistake("missing terms", np.array([0.5, 2.0, -1.0]))
def slice_overwritten(x):
    """x[i] read twice, written instead of added."""

    def pullback(g):
        gx = np.zeros_like(x)
        gx[[0, 2, 2]] = g
        return gx

    return x[[0, 2, 2]], pullback


@mistake("transposed", SQUARE, SQUARE2)
def matmul_no_transpose_x(x, w):
    """g @ w instead of g @ w.T."""
    return x @ w, lambda g: g @ w, lambda g: x.T @ g


@mistake("transposed", SQUARE, SQUARE2)
def matmul_gradient_of_w_turned(x, w):
    """g.T @ x instead of x.T @ g."""
    return x @ w, lambda g: g @ w.T, lambda g: g.T @ x


@mistake("transposed", X, W)
def matmul_shape_of_w(x, w):
    """The same where the shape does not fit."""
    return x @ w, lambda g: g @ w.T, lambda g: g.T @ x


@mistake("scale", X, W)
def matmul_mean(x, w):
    """The gradient of w is averaged over the batch."""
    return x @ w, lambda g: g @ w.T, lambda g: x.T @ g / len(x)


@pytest.mark.parametrize(("rule", "kind", "arrays", "settings"), WRONG)
def test_the_kind_is_named(rule, kind, arrays, settings):
    with pytest.raises(CheckError, match=rule.__name__) as caught:
        check_gradients(op(rule), *arrays, **settings)
    assert caught.value.kind == kind, caught.value
