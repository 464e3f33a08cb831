"""Dropout: its mean, its mask, and that the mask belongs to the whole batch."""

import itertools

import numpy as np
import pytest

from minillm import Tensor, ops
from minillm.models import ModelConfig, build
from minillm.nn import Noise, drop
from minillm.nn.layers import drop as drop_of_file
from minillm.ops.noise import hashed_uniform
from minillm.text import Batch


def kept(x: Tensor) -> np.ndarray:
    return x.numpy() != 0


def ones(*shape) -> Tensor:
    return Tensor(np.ones(shape))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_it_keeps_the_mean(rate):
    y = ops.dropout(ones(300, 300), rate=rate, key=7).numpy()
    assert y.mean() == pytest.approx(1, abs=0.03)
    assert (y == 0).mean() == pytest.approx(rate, abs=0.01)
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - rate)])


def test_it_is_off_when_no_randomness_is_given():
    x = ones(3, 4)
    assert drop is drop_of_file
    assert drop(x, None) is x
    assert drop(x, Noise(0.0, seed=1, step=2)) is x


def test_the_same_seed_gives_the_same_mask_and_another_another():
    def masks(seed, step):
        noise = Noise(0.5, seed, step)
        return [kept(drop(ones(20, 20), noise)) for _ in range(2)]

    first, again = masks(1, 2), masks(1, 2)
    np.testing.assert_array_equal(first, again)
    assert (first[0] != first[1]).mean() == pytest.approx(0.5, abs=0.1)
    for other in (masks(1, 3), masks(2, 2)):
        assert (first[0] != other[0]).mean() == pytest.approx(0.5, abs=0.1)


def test_neighbours_do_not_know_of_each_other():
    y = kept(ops.dropout(ones(400, 400), rate=0.5, key=3)) - 0.5
    for shift in range(1, 5):
        for axis in (0, 1):
            correlation = (y * np.roll(y, shift, axis)).mean() / 0.25
            assert abs(correlation) < 0.02


def test_every_number_of_the_hash_is_as_likely():
    h = hashed_uniform((1 << 16,), 11, 0)
    counts = np.bincount(h >> 26, minlength=64)
    assert counts.min() > 850  # of 1024
    assert counts.max() < 1200


def test_no_mask_is_another_one_shifted():
    """With one stream for all keys, two masks would begin at two places of it."""
    masks = [hashed_uniform((1 << 12,), key, 0) for key in range(200)]
    runs = [{mask[i : i + 2].tobytes() for i in range(4095)} for mask in masks]
    assert sum(map(len, runs)) == len(set().union(*runs))


@pytest.mark.parametrize("n", [2, 3])
def test_the_mask_does_not_depend_on_the_number_of_workers(n):
    whole = ops.dropout(ones(7, 5, 3), rate=0.4, key=9).numpy()
    bounds = [i * 7 // n for i in range(n + 1)]
    shares = [
        ops.dropout(ones(b - a, 5, 3), rate=0.4, key=9, first_row=a).numpy()
        for a, b in itertools.pairwise(bounds)
    ]
    np.testing.assert_array_equal(np.concatenate(shares), whole)


def test_a_whole_models_loss_does_not_depend_on_the_number_of_workers():
    config = ModelConfig(9, 2, 8, 2, 5)
    model = build(config, np.random.default_rng(0), np.float64)
    ids = np.random.default_rng(1).integers(0, 9, (6, 5))
    batch = Batch(ids, ids, ids.size)

    def loss(n):
        shards = [batch.shard(rank, n) for rank in range(n)]
        return sum(
            model.loss(shard, Noise(0.3, 1, 2, shard.first_row)).item()
            for shard in shards
        )

    assert loss(3) == pytest.approx(loss(1), rel=1e-12)
    assert loss(1) != pytest.approx(model.loss(batch).item(), rel=1e-3)


@pytest.mark.parametrize("arch", ["gpt", "bert", "encdec"])
def test_attention_weights_are_dropped_by_a_rate_of_their_own(arch):
    config = ModelConfig(9, 2, 8, 2, 5, arch=arch, tied=True)
    model = build(config, np.random.default_rng(0), np.float64)
    ids = np.random.default_rng(1).integers(0, 9, (6, 5))
    batch = Batch(ids, ids, ids.size, source=ids if arch == "encdec" else None)

    def loss(rate: float, attention_rate: float, n: int = 1) -> float:
        shards = [batch.shard(rank, n) for rank in range(n)]
        return sum(
            model.loss(x, Noise(rate, 1, 2, x.first_row, attention_rate)).item()
            for x in shards
        )

    assert loss(0, 0.3, 3) == pytest.approx(loss(0, 0.3), rel=1e-12)
    assert loss(0, 0) == model.loss(batch).item()
    noise = Noise(0, 1, 2, attention_rate=0.3)
    before = noise.next_key()
    model.loss(batch, noise)
    # Each of two layers, in the encoder, in the decoder, and from one to the other.
    assert noise.next_key() - before == 1 + 2 * (3 if arch == "encdec" else 1)
    different = {loss(0, 0), loss(0.3, 0), loss(0, 0.3), loss(0.3, 0.3)}
    assert len(different) == 4


def test_every_attention_of_a_step_drops_other_weights():
    noise = Noise(0.0, 1, 2, 4, attention_rate=0.5)
    first, second = noise.for_attention(), noise.for_attention()
    assert first["key"] != second["key"]
    assert (first["rate"], first["first_row"]) == (0.5, 4)
    assert Noise(0.5, 1, 2).for_attention() == {}
