"""Right rules, some of which share memory: nothing is said of them."""

import numpy as np
import pytest

from minillm.tensor import op
from minillm.testing import check_gradients

RNG = np.random.default_rng(11)
X = RNG.standard_normal((3, 5))
Y = RNG.standard_normal((3, 5))
ROW = RNG.standard_normal(5)
COLUMN = RNG.standard_normal((3, 1))
W = RNG.standard_normal((5, 4))
IDS = np.array([2, 0, 2, 3])
TABLE = RNG.standard_normal((4, 3))
KEEP = RNG.random((3, 5)) < 0.75
Q = RNG.standard_normal((4, 3))
K = RNG.standard_normal((4, 3))


def softmax_of(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def stretched(g, shape, axis):
    return np.broadcast_to(np.expand_dims(g, axis), shape).copy()


def jacobian_product(y, g, axis=-1):
    return y * (g - (g * y).sum(axis, keepdims=True))


RIGHT = []


def right(*arrays, **settings):
    """Enter the rule with the arrays and settings to check it on."""

    def enter(rule):
        RIGHT.append(pytest.param(rule, arrays, settings, id=rule.__name__))
        return rule

    return enter


@right(X, Y)
def mul(x, y):
    return x * y, lambda g: g * y, lambda g: g * x


@right(X, ROW)
def mul_row(x, y):
    """The engine sums over what was broadcast."""
    return x * y, lambda g: g * y, lambda g: g * x


@right(X, COLUMN)
def add_column(x, y):
    return x + y, lambda g: g, lambda g: g.sum(1, keepdims=True)


@right(X, Y)
def add_same_array(x, y):
    """Both get the array g itself."""
    return x + y, lambda g: g, lambda g: g


@right(X)
def reshaped(x):
    """Value and gradient are views."""
    return x.reshape(-1), lambda g: g.reshape(x.shape)


@right(X)
def turned(x):
    return x.T, lambda g: g.T


@right(X, Y)
def gradient_is_an_argument(x, y):
    """The gradient is a view of y: borrowed."""
    return (x * y).sum(), lambda g: np.broadcast_to(g, x.shape) * y, lambda g: g * x


@right(X)
def sum_stretched(x):
    """A gradient that is a read-only view, stretched."""
    return x.sum(1), lambda g: np.broadcast_to(g[:, None], x.shape)


@right(X)
def softmax(x):
    y = softmax_of(x)
    return y, lambda g: jacobian_product(y, g)


@right(X)
def relu_in_its_own_memory(x):
    """A copy of g may be written into."""

    def pullback(g):
        gx = g.copy()
        gx[x <= 0] = 0
        return gx

    return np.maximum(x, 0), pullback


@right(X)
def value_kept(x):
    """The value is read, and its own memory returned."""
    y = np.exp(x)
    return y, lambda g: y * g


@right(TABLE, ids=IDS)
def embedding(table, *, ids):
    def pullback(g):
        gradient = np.zeros_like(table)
        np.add.at(gradient, ids, g)
        return gradient

    return table[ids], pullback


@right(X, p=0.25)
def dropout(x, *, p):
    scale = KEEP / (1 - p)
    return x * scale, lambda g: g * scale


@right(X, W)
def matmul(x, w):
    return x @ w, lambda g: g @ w.T, lambda g: x.T @ g


@right(Q, K)
def scores(q, k):
    root = np.sqrt(q.shape[1])
    return q @ k.T / root, lambda g: g @ k / root, lambda g: g.T @ q / root


@right(X)
def max_of_rows(x):
    best = x == x.max(1, keepdims=True)
    return x.max(1), lambda g: best * g[:, None]


@right(RNG.standard_normal(6))
def cumsum(x):
    return np.cumsum(x), lambda g: np.cumsum(g[::-1])[::-1]


@right(X)
def the_same_array(x):
    """The value is the argument."""
    return x, lambda g: g


@right(X)
def memory_given_away(x):
    """A gradient is made in memory that the rule owns."""
    scratch = np.empty_like(x)

    def pullback(g):
        np.multiply(2 * x, g, out=scratch)
        return scratch

    return x * x, pullback


@pytest.mark.parametrize(("rule", "arrays", "settings"), RIGHT)
def test_nothing_is_said_of_a_right_rule(rule, arrays, settings):
    for elements in (False, True):
        assert check_gradients(op(rule), *arrays, elements=elements, **settings) < 1e-6
