"""A whole training step: its types, its shards, its learning."""

import numpy as np
import pytest

from minillm.learning.flat import FlatParameters
from minillm.learning.optimizer import AdamW
from minillm.models import ModelConfig, build, usual
from minillm.text import Batch

ARCHITECTURES = pytest.mark.parametrize(
    "arch", ["gpt", "llama", "encoder", "lstm", "bert", "encdec"]
)


def make(arch, dtype):
    config = ModelConfig(13, 2, 8, 2, 6, arch=arch, **usual(arch))
    return build(config, np.random.default_rng(0), dtype)


def batch(dropped: float = 0.3) -> Batch:
    """With a source, which all but an encoder–decoder leave alone."""
    rng = np.random.default_rng(1)
    ids = rng.integers(0, 13, (4, 6), dtype=np.int32)
    targets = np.where(rng.random(ids.shape) < dropped, -1, ids).astype(np.int32)
    source = rng.integers(0, 13, (4, 5), dtype=np.int32)
    return Batch(ids, targets, int((targets >= 0).sum()), source=source)


@pytest.fixture
def every_result(monkeypatch):
    """The type of every value that an op makes, and of every gradient passed on."""
    from minillm import tensor

    seen = []
    wrap, plus = tensor._wrap, tensor._plus
    monkeypatch.setattr(tensor, "_wrap", lambda a: seen.append(a.dtype) or wrap(a))

    def watch(so_far, share):
        seen.append(share.dtype)
        return plus(so_far, share)

    monkeypatch.setattr(tensor, "_plus", watch)
    return seen


@ARCHITECTURES
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_one_type_throughout(arch, dtype, dropout, every_result):
    """`f32 / np.sqrt(64)` is float64 in NumPy 2: one such line and all that follows it
    is twice as large and half as fast."""
    from minillm.nn import Noise

    model = make(arch, dtype)
    flat = FlatParameters(model)
    gradient = flat.zeros()
    flat.collect_gradients(model, gradient)
    optimizer = AdamW(flat, weight_decay=0.1)
    loss = model.loss(batch(), Noise(dropout, 0, 0) if dropout else None)
    loss.backward()
    optimizer.update(slice(0, flat.size), gradient, lr=1e-3, step=1, scale=0.5)
    assert len(every_result) > 30
    assert set(every_result) == {np.dtype(dtype)}
    arrays = [flat.data, gradient, *optimizer.state.values(), loss.data]
    arrays += [p.data for p in model.parameters()] + [
        p.grad for p in model.parameters()
    ]
    assert {a.dtype for a in arrays} == {np.dtype(dtype)}


@ARCHITECTURES
@pytest.mark.parametrize("n", [2, 3])
def test_shards_of_unequal_counts_add_up_to_the_whole(arch, n):
    whole = batch(dropped=0.6)
    counts = [int((whole.shard(i, n).targets >= 0).sum()) for i in range(n)]
    assert len(set(counts)) > 1
    model, sharded = make(arch, np.float64), make(arch, np.float64)
    loss = model.loss(whole)
    loss.backward()
    total = 0.0
    for i in range(n):
        share = sharded.loss(whole.shard(i, n))
        share.backward()
        total += share.item()
    assert total == pytest.approx(loss.item(), rel=1e-12)
    for p, q in zip(model.parameters(), sharded.parameters(), strict=True):
        if p.grad is not None:  # what predicts labels learns nothing from tokens
            np.testing.assert_allclose(q.grad, p.grad, atol=1e-15)


@ARCHITECTURES
def test_it_learns_one_batch_by_heart(arch):
    model = make(arch, np.float32)
    flat = FlatParameters(model)
    gradient = flat.zeros()
    flat.collect_gradients(model, gradient)
    optimizer = AdamW(flat)
    losses = []
    for step in range(1, 61):
        gradient[...] = 0
        loss = model.loss(batch())
        loss.backward()
        optimizer.update(slice(0, flat.size), gradient, lr=0.03, step=step, scale=1.0)
        losses.append(loss.item())
    assert 1 < losses[0] < 1.2 * np.log(13)
    assert losses[-1] < 0.2


@ARCHITECTURES
def test_the_gradient_of_a_whole_model(arch):
    """⟨gradient, v⟩ against a central difference along v, over all parameters."""
    model = make(arch, np.float64)
    flat = FlatParameters(model)
    gradient = flat.zeros()
    flat.collect_gradients(model, gradient)
    flat.data += 0.3 * np.random.default_rng(4).standard_normal(flat.size)
    model.loss(batch()).backward()
    v = np.random.default_rng(5).standard_normal(flat.size)
    h, before = 1e-5, flat.data.copy()
    ends = []
    for sign in (1, -1):
        flat.data[...] = before + sign * h * v
        ends.append(model.loss(batch()).item())
    assert gradient @ v == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6)
