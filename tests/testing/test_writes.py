"""Rules that write into what is not theirs, and numbers of the wrong type."""

import numpy as np
import pytest

from minillm.tensor import op
from minillm.testing import CheckError, check_gradients

RNG = np.random.default_rng(11)
# Lengths differ from each other and from 2: a factor then tells which it is.
X = RNG.standard_normal((3, 5))
Y = RNG.standard_normal((3, 5))
W = RNG.standard_normal((5, 4))


WRONG = []


def mistake(kind, *arrays, **settings):
    """Enter the rule, with its kind and the arrays and settings to check it on."""

    def enter(rule):
        WRONG.append(pytest.param(rule, kind, arrays, settings, id=rule.__name__))
        return rule

    return enter


@mistake("write", X)
def relu_into_g(x):
    """g is changed in place."""

    def pullback(g):
        g[x < 0] = 0
        return g

    return np.maximum(x, 0), pullback


@mistake("write", X)
def relu_into_x(x):
    """The forward changes its input."""
    x[x < 0] = 0
    return x * 1, lambda g: g * (x > 0)


@mistake("write", X)
def tanh_into_x(x):
    """The pullback uses x as scratch memory."""

    def pullback(g):
        np.tanh(x, out=x)
        return g * (1 - x * x)

    return np.tanh(x), pullback


@mistake("write", X)
def exp_into_the_value(x):
    """The pullback multiplies the value in place."""
    y = np.exp(x)

    def pullback(g):
        np.multiply(y, g, out=y)
        return y

    return y, pullback


@mistake("write", X)
def through_the_base(x):
    """The read-only flag is gone round."""

    def pullback(g):
        owner = x if x.base is None else x.base
        owner *= 2
        return g

    return x * 1, pullback


@mistake("write", W, ids=np.array([0, 1]))
def into_the_setting(x, *, ids):
    """Ids are shifted in place."""
    ids += 1
    return x[ids], lambda g: g


@mistake("shared", X, Y)
def one_buffer(x, y):
    """Both pullbacks return the same memory."""
    buffer = np.empty_like(x)

    def pull_x(g):
        return np.multiply(g, y, out=buffer)

    def pull_y(g):
        return np.multiply(g, x, out=buffer)

    return x * y, pull_x, pull_y


@mistake("float32", X)
def value_in_float32(x):
    """The value is computed in float32, where x is rounded."""
    y = (x + 1e3).astype(np.float32).astype(x.dtype)
    return y - 1e3, lambda g: g


@mistake("float32", X, seed=1)
def gradient_in_float32(x):
    """So is the gradient, of what cancels."""
    return x * 1, lambda g: ((g + 7e2).astype(np.float32) - 7e2).astype(x.dtype)


@pytest.mark.parametrize(("rule", "kind", "arrays", "settings"), WRONG)
def test_the_kind_is_named(rule, kind, arrays, settings):
    with pytest.raises(CheckError, match=rule.__name__) as caught:
        check_gradients(op(rule), *arrays, **settings)
    assert caught.value.kind == kind, caught.value
