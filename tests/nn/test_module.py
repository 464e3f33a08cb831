"""Modules find their parameters by themselves, each once, always in one order."""

import os
import subprocess
import sys

import numpy as np
import pytest

from minillm import Tensor
from minillm.errors import UsageError
from minillm.models import ModelConfig, build
from minillm.nn import Initializer, Linear, Module, MultiHeadAttention

INIT = Initializer(np.random.default_rng(0))


def weight() -> Tensor:
    return Tensor(np.ones((2, 2)), requires_grad=True)


class Tree(Module):
    def __init__(self):
        self.single = weight()
        self.several = [weight(), {"inner": weight(), 3: Linear(2, 2, init=INIT)}]
        self.pair = (weight(), None)
        self.fixed = Tensor(np.ones(2))  # needs no gradient: no parameter
        self.number = 5


def test_parameters_are_found_in_lists_and_dicts_in_their_order():
    assert [name for name, _ in Tree().named_parameters()] == [
        "single",
        "several.0",
        "several.1.inner",
        "several.1.3.weight",
        "several.1.3.bias",
        "pair.0",
    ]


def test_the_order_does_not_depend_on_the_hash_seed():
    code = (
        "import numpy as np\n"
        "from minillm.models import ModelConfig, build\n"
        "model = build(ModelConfig(9, 2, 8, 2, 4), np.random.default_rng(0))\n"
        "print([name for name, _ in model.named_parameters()])"
    )
    orders = {
        subprocess.check_output(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}
        )
        for seed in ("1", "2")
    }
    assert len(orders) == 1


class Tied(Module):
    def __init__(self):
        self.a = weight()
        self.b = self.a

    def __call__(self, x):
        return (x @ self.a) @ self.b.T


def test_a_tied_weight_comes_once():
    assert [name for name, _ in Tied().named_parameters()] == ["a"]


def test_the_gradient_of_a_tied_weight_is_the_sum_of_both_uses():
    tied = Tied()
    x = np.array([[1.0, 2.0]])
    tied(x).sum().backward()

    first, second = weight(), weight()
    ((x @ first) @ second.T).sum().backward()
    np.testing.assert_allclose(tied.a.grad, first.grad + second.grad)
    assert (first.grad != second.grad).any()


def test_zero_grad_forgets():
    tied = Tied()
    tied(np.ones((1, 2))).sum().backward()
    tied.zero_grad()
    assert tied.a.grad is None


def test_a_replica_shares_the_weights_and_not_the_gradients():
    config = ModelConfig(9, 2, 8, 2, 4, positions="sinusoidal", tied=True)
    model = build(config, np.random.default_rng(0))
    copy = model.replica()
    ids = np.array([[1, 2, 3]])
    copy(ids).sum().backward()
    pairs = list(zip(model.named_parameters(), copy.named_parameters(), strict=True))
    for (name, p), (name_of_copy, q) in pairs:
        assert name == name_of_copy
        assert np.shares_memory(p.data, q.data)
        assert p.grad is None
        assert q.grad is not None
    assert copy.head is copy.tokens.weight  # still tied


def test_bias_is_left_out_where_none_is_wanted():
    assert len(Linear(2, 3, init=INIT, bias=False).parameters()) == 1


def test_a_width_that_heads_cannot_share():
    with pytest.raises(UsageError, match="width 6 cannot be divided among 4 heads"):
        MultiHeadAttention(6, 4, init=INIT, causal=True)
