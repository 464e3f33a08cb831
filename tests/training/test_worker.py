"""What one step computes, and that sharing it out changes nothing."""

import sys

import numpy as np
import pytest

from minillm.backend import debug, plain
from minillm.learning.worker import Worker, batch_at
from minillm.nn import Noise
from minillm.text import Batch

needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="needs fork")

VARIANTS = [
    {},
    {"objective": "mlm"},
    {"dropout": 0.2},
    {"attention_dropout": 0.2, "dropout": 0.1},
    {"accumulate": 4},
    {"tied": True, "bias": False, "init": "gpt2"},
]


def whole_gradient(work, step: int = 0) -> tuple[float, np.ndarray]:
    """The loss and gradient of a step, all replicas of a workplace added up."""
    n = len(work.gradients)
    replicas = [Worker(work, rank, n) for rank in range(n)]
    loss = float(sum(replica.compute(step) for replica in replicas))
    for replica in replicas:
        replica.reduce()
    return loss, work.gradients[0].copy()


def assert_same_gradient(one, other):
    assert one[0] == pytest.approx(other[0], rel=1e-5)
    scale = np.abs(one[1]).max()
    np.testing.assert_allclose(one[1], other[1], atol=2e-6 * scale)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("with_bodies", [True, False])
def test_everything_in_a_step_is_float32(workplace, options, with_bodies):
    work = workplace(**options)
    replica = Worker(work, 0, 1)
    with debug():  # raises TypeError where a value or gradient has another type
        if with_bodies:
            loss = replica.compute(0)
        else:
            with plain():
                loss = replica.compute(0)
    norm = replica.reduce()
    replica.update(0, 0.01, 0.5)
    arrays = [loss, norm, work.flat.data, *work.gradients]
    arrays += [*work.optimizer.state.values()]
    arrays += [p.data for p in work.model.parameters()]
    arrays += [p.grad for p in work.model.parameters()]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_the_same_seed_gives_the_same_losses(learner, train_steps, options):
    first, again = (train_steps(learner(**options)) for _ in range(2))
    assert first == again
    assert len(set(first)) == len(first)


def test_another_seed_gives_other_weights_and_batches(workplace):
    works = [workplace(seed=seed) for seed in (0, 1)]
    assert not np.array_equal(works[0].flat.data, works[1].flat.data)
    assert not np.array_equal(batch_at(works[0], 0).ids, batch_at(works[1], 0).ids)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_any_number_of_workers_gives_the_same_losses(learner, train_steps, options):
    alone = train_steps(learner(**options))
    assert alone[-1] < alone[0]
    for n in (2, 3, 8):
        shared = train_steps(learner(f"threads:{n}", **options))
        np.testing.assert_allclose(shared, alone, rtol=1e-5)


@needs_fork
@pytest.mark.parametrize("n", [2, 3])
def test_processes_are_threads_to_the_last_bit(learner, train_steps, n):
    found = []
    for kind in ("processes", "threads"):
        made = learner(f"{kind}:{n}", dropout=0.1)
        found.append((train_steps(made), made.work.flat.data.tobytes()))
    assert found[0] == found[1]


@pytest.mark.parametrize("objective", ["clm", "mlm"])
def test_microbatches_add_up_to_the_batch(workplace, objective):
    one = whole_gradient(workplace(objective=objective))
    four = whole_gradient(workplace(objective=objective, accumulate=4))
    shares = whole_gradient(workplace("threads", 3, objective=objective, accumulate=4))
    assert_same_gradient(one, four)
    assert_same_gradient(one, shares)
    assert not np.array_equal(one[1], four[1])  # they were really computed apart


def test_shares_with_unequal_numbers_of_targets_add_up(workplace):
    work = workplace("threads", 3, objective="mlm")
    batch = batch_at(work, 0)
    counts = [int((batch.shard(rank, 3).targets >= 0).sum()) for rank in range(3)]
    assert len(set(counts)) == 3
    assert sum(counts) == batch.n_targets
    shared = whole_gradient(work)
    assert_same_gradient(whole_gradient(workplace(objective="mlm")), shared)


def test_a_share_without_any_target_gives_nothing(workplace):
    model = workplace(objective="mlm").model
    ids = np.zeros((2, 16), np.int32)
    loss = model.loss(Batch(ids, np.full_like(ids, -1), n_targets=0))
    loss.backward()
    assert loss.item() == 0
    assert all((p.grad == 0).all() for p in model.parameters())


def test_dropout_drops_the_same_places_whoever_computes_them(workplace):
    alone = whole_gradient(workplace(dropout=0.4))
    for n, accumulate in ((2, 1), (3, 1), (1, 4), (2, 2)):
        work = workplace("threads", n, dropout=0.4, accumulate=accumulate)
        assert_same_gradient(alone, whole_gradient(work))


def test_dropout_draws_anew_in_every_step_and_for_every_seed(workplace):
    work = workplace()
    batch = batch_at(work, 0)
    noises = [Noise(0.4, *at) for at in ((0, 0), (0, 1), (1, 0), (0, 0))]
    losses = [work.model.loss(batch, noise).item() for noise in (*noises, None)]
    assert losses[0] == losses[3]
    assert len(set(losses)) == 4


def test_slices_of_the_replicas_cover_the_buffer_once(workplace):
    work = workplace("threads", 3)
    parts = [Worker(work, rank, 3).slice for rank in range(3)]
    assert [part.start for part in parts] == [0, parts[0].stop, parts[1].stop]
    assert parts[-1].stop == work.flat.size
    assert all(part.start * 4 % 64 == 0 for part in parts)
