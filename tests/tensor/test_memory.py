"""Graphs come and go: no reference cycles, no recursion, nothing left behind."""

import gc
import weakref

import numpy as np
import pytest

from minillm import Tensor
from minillm.learning.flat import FlatParameters
from minillm.learning.optimizer import AdamW
from minillm.models import ModelConfig, build
from minillm.tensor import topological_order
from minillm.text import Batch


@pytest.fixture
def no_gc():
    gc.collect()
    gc.freeze()  # what lies here already need not be looked at again
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


@pytest.fixture
def training_step():
    """A function that does a whole step of a small GPT, and the model."""
    config = ModelConfig(vocab_size=7, n_layers=1, d_model=8, n_heads=2, context=5)
    model = build(config, np.random.default_rng(0))
    flat = FlatParameters(model)
    gradient = flat.zeros()
    flat.collect_gradients(model, gradient)
    optimizer = AdamW(flat)
    ids = np.random.default_rng(1).integers(0, 7, (2, 5))
    batch = Batch(ids, ids, ids.size)
    step = 0

    def run():
        nonlocal step
        step += 1
        gradient[...] = 0
        loss = model.loss(batch)
        size = len(topological_order(loss))
        loss.backward()
        optimizer.update(slice(0, flat.size), gradient, lr=1e-3, step=step, scale=1.0)
        return size

    return run, model


def test_a_graph_has_no_reference_cycle(no_gc):
    x = Tensor(np.ones(3), requires_grad=True)
    y = (x.exp() * x).max()
    died = weakref.ref(y)
    del y
    assert died() is None


def test_a_graph_is_gone_after_backward(no_gc):
    x = Tensor(np.ones(3), requires_grad=True)
    middle = x.exp()
    died = weakref.ref(middle)
    loss = (middle * x).sum()
    del middle
    assert died() is not None
    loss.backward()
    assert died() is None


def test_a_graph_is_freed_on_the_way_back(no_gc):
    """The values near the loss are gone while those near the leaves are worked on."""
    alive = []
    x = Tensor(np.ones(3), requires_grad=True)
    y = _watch(x, lambda: alive.append(late() is not None))
    late_tensor = y.exp()
    late = weakref.ref(late_tensor)
    loss = late_tensor.sum()
    del late_tensor
    loss.backward()
    assert alive == [False]


def _watch(x, when_back):
    from minillm.tensor import op

    @op
    def watch(x):
        return x * 1, lambda g: when_back() or g

    return watch(x)


def test_200_000_ops_built_and_dropped(no_gc):
    x = Tensor(np.ones(1), requires_grad=True)
    y = x
    for _ in range(200_000):
        y = -y
    died = weakref.ref(y)
    del y
    assert died() is None


def test_the_number_of_live_tensors_stays_the_same(training_step, no_gc):
    run, _ = training_step
    counts = []
    for _ in range(10):
        run()
        counts.append(sum(type(o) is Tensor for o in gc.get_objects()))
    assert len(set(counts)) == 1


def test_the_optimizer_does_not_extend_the_graph(training_step):
    run, model = training_step
    assert len({run() for _ in range(4)}) == 1
    for parameter in model.parameters():
        assert parameter.edges == ()
        assert parameter.made_by is None
