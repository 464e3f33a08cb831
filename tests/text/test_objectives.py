import numpy as np
import pytest

from minillm.errors import UsageError
from minillm.text.objectives import IGNORED, OBJECTIVES, Batch, causal, masked
from minillm.text.tokenizer import ByteTokenizer

B, T = 64, 512
TOKENIZER = ByteTokenizer(("[CLS]", "[MASK]"))
CLS, MASK = TOKENIZER.specials.values()


def windows(seed: int = 0) -> np.ndarray:
    ids = np.random.default_rng(seed).integers(256, size=(B, T + 1), dtype=np.int32)
    ids[:, 0] = CLS
    return ids


def run(objective, ids, seed: int = 1) -> Batch:
    return objective(ids, rng=np.random.default_rng(seed), tokenizer=TOKENIZER)


def chi_squared(counts, probabilities) -> float:
    expected = np.asarray(probabilities) * np.sum(counts)
    return float(np.sum((counts - expected) ** 2 / expected))


@pytest.mark.parametrize("name", ["clm", "mlm"])
def test_every_objective_keeps_the_batch_contract(name):
    ids = windows()
    before = ids.copy()
    batch = run(OBJECTIVES[name], ids)
    np.testing.assert_array_equal(ids, before)
    assert batch.ids.shape == batch.targets.shape == (B, T)
    assert batch.ids.dtype == batch.targets.dtype == np.int32
    assert batch.n_targets == np.sum(batch.targets != IGNORED)
    assert batch.first_row == 0
    assert batch.mask is None


def test_causal_predicts_the_next_token():
    batch = run(causal, np.array([[5, 6, 7, 8]], np.int32))
    assert batch.ids.tolist() == [[5, 6, 7]]
    assert batch.targets.tolist() == [[6, 7, 8]]
    assert batch.n_targets == 3


def test_masked_hides_only_what_it_asks_for():
    ids = windows()
    batch = run(masked, ids)
    chosen = batch.targets != IGNORED
    np.testing.assert_array_equal(batch.targets[chosen], ids[:, :T][chosen])
    np.testing.assert_array_equal(batch.ids[~chosen], ids[:, :T][~chosen])


def test_masked_keeps_its_proportions():
    ids = windows()
    batch = run(masked, ids)
    tokens, hidden, chosen = ids[:, 1:T], batch.ids[:, 1:], batch.targets[:, 1:] >= 0
    same = chosen & (hidden == tokens)
    replaced = chosen & (hidden == MASK)
    changed = chosen & ~same & ~replaced
    counts = [np.sum(~chosen), np.sum(replaced), np.sum(changed), np.sum(same)]
    by_chance = 0.1 / 256  # a random token can be the one that was there
    expected = [0.85, 0.15 * 0.8, 0.15 * (0.1 - by_chance), 0.15 * (0.1 + by_chance)]
    assert chi_squared(counts, expected) < 16.3  # 3 degrees of freedom, p = 0.001


def test_masked_draws_random_tokens_evenly_and_no_special_ones():
    drawn = []
    for seed in range(10):
        ids = windows(seed)
        batch = run(masked, ids, seed)
        changed = (batch.ids != ids[:, :T]) & (batch.ids != MASK)
        drawn.append(batch.ids[changed])
    drawn = np.concatenate(drawn)
    assert drawn.max() < 256
    counts = np.bincount(drawn, minlength=256)
    assert chi_squared(counts, np.full(256, 1 / 256)) < 331  # 255 degrees, p = 0.001


def test_masked_chooses_every_position_alike():
    chosen = sum(run(masked, windows(), seed).targets >= 0 for seed in range(20))
    per_position = chosen[:, 1:].sum(axis=0)
    expected = np.full(T - 1, 1 / (T - 1))
    assert chi_squared(per_position, expected) < 613  # 510 degrees, p = 0.001


def test_masked_never_chooses_a_special_token():
    batches = [run(masked, windows(), seed) for seed in range(20)]
    assert all((batch.targets[:, 0] == IGNORED).all() for batch in batches)
    assert all((batch.ids[:, 0] == CLS).all() for batch in batches)


def test_a_batch_with_nothing_chosen_is_legal():
    batch = run(masked, np.full((2, 9), CLS, np.int32))
    assert batch.n_targets == 0
    assert (batch.targets == IGNORED).all()


def test_masked_depends_on_its_generator_only():
    a, b, c = (run(masked, windows(), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.ids, b.ids)
    np.testing.assert_array_equal(a.targets, b.targets)
    assert (a.targets != c.targets).any()


def test_masked_needs_a_mask_token():
    with pytest.raises(UsageError, match=r"\[MASK\]"):
        masked(windows(), rng=np.random.default_rng(), tokenizer=ByteTokenizer())


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_shards_put_together_are_the_batch(n):
    rows = np.arange(20, dtype=np.int32).reshape(5, 4)
    batch = Batch(rows, rows + 1, n_targets=20, mask=rows > 3)
    shards = [batch.shard(rank, n) for rank in range(n)]
    for name in ("ids", "targets", "mask"):
        whole = getattr(batch, name)
        parts = [getattr(shard, name) for shard in shards]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
        assert all(np.shares_memory(part, whole) for part in parts if part.size)
    assert all(shard.n_targets == 20 for shard in shards)
    for shard in shards:
        first = rows[shard.first_row : shard.first_row + len(shard.ids)]
        np.testing.assert_array_equal(shard.ids, first)
    assert max(len(shard.ids) for shard in shards) <= -(-5 // n)


def test_a_shard_of_a_shard_knows_its_place():
    rows = np.arange(8, dtype=np.int32)[:, None]
    shard = Batch(rows, rows, n_targets=8).shard(1, 2).shard(1, 2)
    assert shard.first_row == 6
    assert shard.ids[0, 0] == 6
