"""Modules find their parameters by themselves, each once, always in one order."""

import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from minillm import Tensor
from minillm.errors import DataError, UsageError
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


class Watcher(Module):
    """Keeps what passes through it, and knows who holds it."""

    def __init__(self, parent=None):
        self.parent = parent
        self.layer = Linear(2, 2, init=INIT)
        self.frozen = weight()
        self.frozen.requires_grad = False
        self.kept = {}

    def __call__(self, x):
        self.seen = self.layer(x).tanh()
        self.kept = {"a": [self.seen * 2], "b": (self.seen / 2, x, x.detach())}
        return self.seen


class Family(Module):
    def __init__(self):
        self.first = Watcher(self)
        self.second = self.first
        self.table = [self.first, {"self": self}]
        self.own = weight()

    def __call__(self, x):
        self.last = self.second(self.first(x)) @ self.own
        return self.last


FAMILY = ["first.layer.weight", "first.layer.bias", "own"]


def names_of(module: Module) -> list[str]:
    return [name for name, _ in module.named_parameters()]


def test_what_an_op_made_is_no_parameter_and_a_child_may_hold_its_parent():
    family = Family()
    assert names_of(family) == FAMILY
    loss = family(Tensor(np.ones((1, 2)))).sum()
    assert names_of(family) == FAMILY
    loss.backward()  # frees the graph: what was made by an op has no parents left
    assert names_of(family) == FAMILY
    assert {id(p) for p in family.parameters()} == {
        id(p) for p in (*family.first.layer.parameters(), family.own)
    }


def test_a_leaf_that_requires_a_gradient_counts_wherever_it_comes_from():
    watcher = Watcher()
    x = Tensor(np.ones((1, 2)), requires_grad=True)
    watcher(x)
    assert names_of(watcher) == ["layer.weight", "layer.bias", "kept.b.1"]
    x.requires_grad = False
    watcher.frozen.requires_grad = True
    assert names_of(watcher) == ["layer.weight", "layer.bias", "frozen"]


def test_a_replica_after_a_forward_pass_keeps_numbers_and_no_history():
    x, family = Tensor(np.ones((1, 2))), Family()
    for _ in range(300):  # as deep as Python recurses
        x = family(x)
    copy = family.replica()
    assert names_of(copy) == FAMILY
    assert copy.first.parent is copy
    assert copy.last.edges == ()
    np.testing.assert_array_equal(copy.last.numpy(), x.numpy())
    copy(Tensor(np.ones((1, 2)))).sum().backward()
    assert family.own.grad is None


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


def test_a_module_shows_its_layers_their_shapes_and_how_many_numbers_they_have():
    lines = repr(Tree()).splitlines()
    assert lines[0] == "Tree, 22 parameters"
    assert lines[1].split("  ")[-1] == "16"
    assert "several.1.inner (2, 2), pair.0 (2, 2)" in lines[1]
    assert lines[2].split() == [
        *("several.1.3", "Linear", "weight", "(2,", "2),", "bias", "(2,)", "6")
    ]
    assert repr(Module()) == "Module, 0 parameters"


def test_a_module_is_saved_and_loaded_by_the_names_of_its_parameters(tmp_path):
    first, second = (Linear(3, 2, init=seed) for seed in (1, 2))
    first.save(tmp_path / "layer.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["layer.safetensors"]
    assert set(load_file(tmp_path / "layer.safetensors")) == {"weight", "bias"}
    held = second.weight.data
    second.load(tmp_path / "layer.safetensors")
    assert second.weight.data is held
    np.testing.assert_array_equal(second.weight.numpy(), first.weight.numpy())
    other = Linear(2, 3, init=3)
    before = other.weight.numpy().copy()
    with pytest.raises(DataError, match=r"weight is float32 of shape \(3, 2\), the"):
        other.load(tmp_path / "layer.safetensors")
    np.testing.assert_array_equal(other.weight.numpy(), before)


def test_two_parameters_of_one_name_are_refused_where_they_are_named(tmp_path):
    module = Tree()
    module.several = {1: weight(), "1": weight()}
    with pytest.raises(UsageError, match=r"have the name several\.1"):
        module.save(tmp_path / "tree.safetensors")
    assert not [*tmp_path.iterdir()]
    with pytest.raises(DataError, match="is a folder, and no name for a file"):
        Linear(2, 2, init=INIT).save("")
