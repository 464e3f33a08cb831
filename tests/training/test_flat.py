"""The flat buffer that all parameters live in."""

import math

import numpy as np
import pytest

from minillm.learning.flat import FlatParameters
from minillm.learning.optimizer import AdamW
from minillm.models import ModelConfig, build
from minillm.nn import Module
from minillm.runs import checkpoint
from minillm.tensor import Tensor


def model(seed: int = 0, **options):
    shape = {"vocab_size": 11, "n_layers": 2, "d_model": 6, "n_heads": 2, "context": 5}
    return build(ModelConfig(**{**shape, **options}), np.random.default_rng(seed))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_nothing_is_changed_lost_or_counted_twice(tied, shared):
    gpt = model(tied=tied)
    before = {name: p.numpy().copy() for name, p in gpt.named_parameters()}
    flat = FlatParameters(gpt, shared=shared)
    assert set(flat.places) == set(before)
    assert ("head" in before) == (not tied)
    for name, p in gpt.named_parameters():
        np.testing.assert_array_equal(p.numpy(), before[name])
        assert np.shares_memory(p.data, flat.data)
    covered = np.zeros(flat.size, int)
    for name, (begin, shape) in flat.places.items():
        assert shape == before[name].shape
        covered[begin : begin + math.prod(shape)] += 1
    assert covered.max() == 1
    assert (flat.data[covered == 0] == 0).all()


def test_each_parameter_begins_at_64_bytes_and_those_that_decay_come_first():
    gpt = model()
    flat = FlatParameters(gpt)
    decays = {name: p.ndim >= 2 for name, p in gpt.named_parameters()}
    assert any(decays.values()) and not all(decays.values())
    for name, (begin, shape) in flat.places.items():
        assert begin * flat.dtype.itemsize % 64 == 0
        assert (begin + math.prod(shape) <= flat.n_decayed) == decays[name]


def test_tied_weights_stay_one_array():
    gpt = model(tied=True)
    FlatParameters(gpt)
    assert gpt.head is gpt.tokens.weight


def test_backward_adds_into_the_gradient_buffer():
    gpt = model()
    flat = FlatParameters(gpt)
    gradient = flat.zeros()
    flat.collect_gradients(gpt, gradient)
    ids = np.arange(10).reshape(2, 5)
    for _ in range(2):
        (gpt(ids) * gpt(ids)).sum().backward()
    for name, p in gpt.named_parameters():
        assert np.shares_memory(p.grad, gradient), name
    assert np.count_nonzero(gradient) > flat.size // 2


def test_loading_copies_into_the_views(tmp_path):
    source, target = model(seed=1), model(seed=2)
    saved = FlatParameters(source)
    path = checkpoint.save(tmp_path, saved, AdamW(saved), {"step": 1})
    flat = FlatParameters(target)
    checkpoint.load(path, flat)
    ids = np.arange(5)[None]
    np.testing.assert_array_equal(target(ids).numpy(), source(ids).numpy())
    for _, p in target.named_parameters():
        assert np.shares_memory(p.data, flat.data)


class Layer(Module):
    """Holds what it is given, and keeps its activation."""

    def __init__(self, **held):
        vars(self).update(held)

    def __call__(self, x):
        self.seen = x @ self.weight
        return self.seen


def leaf(*shape) -> Tensor:
    return Tensor(np.ones(shape, np.float32), requires_grad=True)


def test_an_activation_has_no_place_in_the_buffer():
    layer = Layer(weight=leaf(2, 3))
    layer(np.ones((5, 2), np.float32)).sum().backward()
    flat = FlatParameters(layer)
    assert flat.places == {"weight": (0, (2, 3))}
    flat.collect_gradients(layer, flat.zeros())


def test_a_parameter_that_came_later_is_named():
    layer = Layer(weight=leaf(2, 3))
    flat = FlatParameters(layer)
    layer.late = leaf(3)
    with pytest.raises(ValueError, match="parameter late is new"):
        flat.collect_gradients(layer, flat.zeros())


@pytest.mark.parametrize(
    ("held", "told"),
    [
        ({}, "no parameter"),
        ({"frozen": Tensor([1.0])}, "no parameter"),
        ({"a": {1: leaf(2), "1": leaf(2)}}, r"name a\.1"),
        ({"a": {"b.c": leaf(2), "b": {"c": leaf(2)}}}, r"name a\.b\.c"),
    ],
    ids=["none", "frozen", "number and text", "a dot"],
)
def test_parameters_without_a_place_of_their_own_are_refused(held, told):
    """Two of one name would lie in the same memory."""
    with pytest.raises(ValueError, match=told):
        FlatParameters(Layer(**held))
