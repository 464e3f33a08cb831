"""Mistakes of students in softmax, norms, losses, embedding, dropout and attention."""

import numpy as np
import pytest

from minillm.tensor import op
from minillm.testing import CheckError, check_gradients

RNG = np.random.default_rng(11)
# Lengths differ from each other and from 2: a factor then tells which it is.
X = RNG.standard_normal((3, 5))
IDS = np.array([2, 0, 2, 3])
TARGETS = np.array([1, 4, 0])
TABLE = RNG.standard_normal((4, 3))
KEEP = RNG.random((3, 5)) < 0.75
Q = RNG.standard_normal((4, 3))
K = RNG.standard_normal((4, 3))
V = RNG.standard_normal((4, 3))


def softmax_of(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def jacobian_product(y, g, axis=-1):
    return y * (g - (g * y).sum(axis, keepdims=True))


WRONG = []


def mistake(kind, *arrays, **settings):
    """Enter the rule, with its kind and the arrays and settings to check it on."""

    def enter(rule):
        WRONG.append(pytest.param(rule, kind, arrays, settings, id=rule.__name__))
        return rule

    return enter


@mistake("missing terms", X)
def softmax_elementwise(x):
    """Only the diagonal of the Jacobian."""
    y = softmax_of(x)
    return y, lambda g: g * y * (1 - y)


@mistake("wrong axis", X)
def softmax_other_axis(x):
    """The sum of the pullback runs over the batch."""
    y = softmax_of(x)
    return y, lambda g: jacobian_product(y, g, axis=0)


@mistake("wrong", X)
def softmax_plus(x):
    """A sign inside."""
    y = softmax_of(x)
    return y, lambda g: y * (g + (g * y).sum(-1, keepdims=True))


@mistake("missing terms", X)
def log_softmax_missing(x):
    """The gradient of the sum is forgotten."""
    y = np.log(softmax_of(x))
    return y, lambda g: g * 1


@mistake("wrong", X)
def layer_norm_deviation(x):
    """The deviation is taken for a constant."""
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True))
    return centred / deviation, lambda g: (g - g.mean(-1, keepdims=True)) / deviation


@mistake("missing terms", X)
def layer_norm_all_constant(x):
    """Mean and deviation are taken for constants."""
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True))
    return centred / deviation, lambda g: g / deviation


@mistake("scale", X)
def layer_norm_unscaled(x):
    """1/σ of each row is forgotten."""
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True))
    y = centred / deviation
    return (
        y,
        lambda g: g - g.mean(-1, keepdims=True) - y * (g * y).mean(-1, keepdims=True),
    )


@mistake("scale", X, targets=TARGETS)
def cross_entropy_sum(x, *, targets):
    """The mean over the batch is forgotten."""
    y = softmax_of(x)
    rows = np.arange(len(x))

    def pullback(g):
        gx = y.copy()
        gx[rows, targets] -= 1
        return g * gx

    return -np.log(y[rows, targets]).mean(), pullback


@mistake("sign", X, targets=TARGETS)
def cross_entropy_sign(x, *, targets):
    """Target minus probability."""
    y = softmax_of(x)
    rows = np.arange(len(x))
    one_hot = np.eye(x.shape[1])[targets]
    return -np.log(y[rows, targets]).mean(), lambda g: g * (one_hot - y) / len(x)


@mistake("ignores g", X, targets=TARGETS)
def cross_entropy_without_g(x, *, targets):
    """A loss is thought to be the last op always."""
    y = softmax_of(x)
    rows = np.arange(len(x))
    one_hot = np.eye(x.shape[1])[targets]
    return -np.log(y[rows, targets]).mean(), lambda g: (y - one_hot) / len(x)


@mistake("elements", X, targets=TARGETS)
def cross_entropy_no_one(x, *, targets):
    """The −1 at the target is forgotten."""
    y = softmax_of(x)
    rows = np.arange(len(x))
    return -np.log(y[rows, targets]).mean(), lambda g: g * y / len(x)


@mistake("missing terms", TABLE, ids=IDS)
def embedding_overwritten(table, *, ids):
    """An id that comes twice counts once."""

    def pullback(g):
        gradient = np.zeros_like(table)
        gradient[ids] = g
        return gradient

    return table[ids], pullback


@mistake("missing terms", TABLE, ids=IDS)
def embedding_in_place(table, *, ids):
    """`+=` by an index adds once, too."""

    def pullback(g):
        gradient = np.zeros_like(table)
        gradient[ids] += g
        return gradient

    return table[ids], pullback


@mistake("scale", X, p=0.25)
def dropout_unscaled(x, *, p):
    """1/(1 − p) is forgotten."""
    return x * KEEP / (1 - p), lambda g: g * KEEP


@mistake("extra terms", X, p=0.25)
def dropout_everywhere(x, *, p):
    """What was dropped gets a gradient."""
    return x * KEEP / (1 - p), lambda g: g / (1 - p)


@mistake("scale", Q, K)
def scores_unscaled(q, k):
    """1/√d is forgotten for q."""
    root = np.sqrt(q.shape[1])
    return q @ k.T / root, lambda g: g @ k, lambda g: g.T @ q / root


@mistake("wrong axis", Q, K)
def scores_turned(q, k):
    """g instead of its transpose, for k."""
    root = np.sqrt(q.shape[1])
    return q @ k.T / root, lambda g: g @ k / root, lambda g: g @ q / root


@mistake("wrong", Q, K)
def attention_weights_no_softmax(q, k):
    """The softmax is left out of the gradient of q."""
    y = softmax_of(q @ k.T)
    return y, lambda g: g @ k, lambda g: jacobian_product(y, g).T @ q


@mistake("transposed", Q, V)
def attention_values(q, v):
    """The weights are not turned."""
    y = softmax_of(q @ Q.T)
    return y @ v, lambda g: jacobian_product(y, g @ v.T) @ Q, lambda g: y @ g


@pytest.mark.parametrize(("rule", "kind", "arrays", "settings"), WRONG)
def test_the_kind_is_named(rule, kind, arrays, settings):
    with pytest.raises(CheckError, match=rule.__name__) as caught:
        check_gradients(op(rule), *arrays, **settings)
    assert caught.value.kind == kind, caught.value
