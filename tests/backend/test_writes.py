"""Writes of a rule are found where arrays have no read-only flag, too."""

import numpy as np
import pytest

import minillm
from minillm import Tensor
from minillm.tensor import op
from minillm.testing import CheckError, check_gradients

X = np.random.default_rng(0).standard_normal((2, 3))


@op
def into_g(x):
    def pullback(g):
        g *= 2
        return g

    return 2 * x, pullback


@op
def into_x(x):
    x += 1
    return x * 1, lambda g: g * 1


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (into_g, "the pullback of into_g writes into the incoming gradient g"),
        (into_x, "the forward of into_x writes into its input x"),
    ],
)
def test_a_write_on_another_device(on_strict, f, words):
    with pytest.raises(CheckError, match=words) as caught:
        check_gradients(f, X)
    assert caught.value.kind == "write"
    with minillm.debug(), pytest.raises(RuntimeError, match=words):
        f(Tensor(X, requires_grad=True)).backward(X)


def test_a_diagnosis_on_another_device(on_strict):
    @op
    def minus(x):
        return x * x, lambda g: -2 * g * x

    with pytest.raises(CheckError, match="−1 ×") as caught:
        check_gradients(minus, X)
    assert caught.value.kind == "sign"
