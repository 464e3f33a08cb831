from types import SimpleNamespace

import numpy as np
import pytest

from minillm import ops
from minillm.errors import UsageError
from minillm.text import (
    BERT_TEMPLATE,
    IGNORED,
    OBJECTIVES,
    PAIR_SPECIALS,
    SEQ2SEQ_SPECIALS,
    SEQ2SEQ_TEMPLATE,
    Batch,
    Documents,
    causal,
    masked,
    passages,
    train_tokenizer,
)
from minillm.text.objectives import word_beginnings
from minillm.text.padding import trimmed

B, T = 64, 512
TOKENIZER = train_tokenizer("bytes", "", specials=("[CLS]", "[MASK]"))
CLS, MASK = TOKENIZER.specials.values()
FRAMING = train_tokenizer("bytes", "", specials=PAIR_SPECIALS, template=BERT_TEMPLATE)


def windows(seed: int = 0) -> np.ndarray:
    ids = np.random.default_rng(seed).integers(256, size=(B, T + 1), dtype=np.int32)
    ids[:, 0] = CLS
    return ids


def run(objective, ids, seed: int = 1, tokenizer=TOKENIZER, context=T, **options):
    rng = np.random.default_rng(seed)
    return objective(ids, rng=rng, tokenizer=tokenizer, context=context, **options)


def chi_squared(counts, probabilities) -> float:
    expected = np.asarray(probabilities) * np.sum(counts)
    return float(np.sum((counts - expected) ** 2 / expected))


@pytest.mark.parametrize("name", ["clm", "mlm"])
def test_every_objective_keeps_the_batch_contract(name):
    ids = windows()
    before = ids.copy()
    batch = run(OBJECTIVES[name].batch, ids)
    np.testing.assert_array_equal(ids, before)
    assert batch.ids.shape == batch.targets.shape == (B, T)
    assert batch.ids.dtype == batch.targets.dtype == np.int32
    assert batch.n_targets == np.sum(batch.targets != IGNORED)
    assert batch.first_row == 0
    assert batch.mask is None or batch.mask.all()


def test_causal_predicts_the_next_token():
    batch = run(causal, np.array([[5, 6, 7, 8]], np.int32))
    assert batch.ids.tolist() == [[5, 6, 7]]
    assert batch.targets.tolist() == [[6, 7, 8]]
    assert batch.n_targets == 3


@pytest.mark.parametrize("n", [1, 2])
def test_causal_reads_what_stands_before_a_text(n):
    """Of one window too, whose ids and targets could be the same memory."""
    begun = SimpleNamespace(before=np.array([1, 2], np.int32))
    batch = run(causal, np.array(n * [[5, 6, 7]], np.int32), tokenizer=begun, context=3)
    assert batch.ids.tolist() == n * [[1, 2, 5]]
    assert batch.targets.tolist() == n * [[IGNORED, 5, 6]]
    assert batch.n_targets == 2 * n


def test_masked_hides_only_what_it_asks_for():
    ids = windows()
    batch = run(masked, ids)
    chosen = batch.targets != IGNORED
    np.testing.assert_array_equal(batch.targets[chosen], ids[:, :T][chosen])
    np.testing.assert_array_equal(batch.ids[~chosen], ids[:, :T][~chosen])


def test_masked_keeps_its_proportions():
    ids = np.concatenate([windows(seed) for seed in range(4)])  # 131,000 tokens
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
    batch = run(masked, np.full((2, 9), CLS, np.int32), context=8)
    assert batch.n_targets == 0
    assert (batch.targets == IGNORED).all()


def test_whether_a_token_is_chosen_tells_nothing_of_its_neighbours():
    chosen = np.concatenate([run(masked, windows(), i).targets >= 0 for i in range(4)])
    for distance in (1, 2, 17):
        here, there = chosen[:, 1:-distance], chosen[:, 1 + distance :]
        counts = [np.sum((here == a) & (there == b)) for a in (0, 1) for b in (0, 1)]
        shares = [0.85**2, 0.85 * 0.15, 0.85 * 0.15, 0.15**2]
        assert chi_squared(counts, shares) < 16.3  # 3 degrees of freedom, p = 0.001


def test_a_window_is_framed_by_the_template_of_its_tokenizer():
    ids = np.arange(32, dtype=np.int32).reshape(2, 16)
    batch = run(masked, ids, tokenizer=FRAMING, context=15)
    whole = np.where(batch.targets == IGNORED, batch.ids, batch.targets)
    cls, sep = FRAMING.specials["[CLS]"], FRAMING.specials["[SEP]"]
    assert whole.tolist() == [[cls, *row[:13], sep] for row in ids.tolist()]


def spelled(text: str, tokenizer) -> tuple[np.ndarray, list[str]]:
    ids = tokenizer.encode(text)
    return ids, [tokenizer.decode([i]) for i in ids]


@pytest.mark.parametrize("kind", ["bytes", "chars", "bpe", "wordpiece"])
def test_the_tokens_of_a_word_begin_with_it(kind):
    text = "the lighthouse, two keepers; déjà vu 42 हिन्दी\n" * 3
    tokenizer = train_tokenizer(
        kind, text, vocab_size=None if kind == "bytes" else 310, specials=("[MASK]",)
    )
    ids, tokens = spelled(text, tokenizer)
    beginnings = word_beginnings(ids[None], tokenizer)[0]
    for place, begin in enumerate(beginnings):
        whole = tokenizer.decode(ids[begin : place + 1]).strip(" \n")
        assert " " not in whole
        if begin < place and kind != "bytes":
            assert not set(whole) & set(" ,;\n"), tokens[begin : place + 1]
    words = {tokenizer.decode(ids[beginnings == b]).strip() for b in set(beginnings)}
    assert {"the", "lighthouse", "two", "keepers", "déjà", "vu", "42", "हिन्दी"} <= words


def test_whole_words_are_hidden_with_all_of_their_tokens():
    text = "some words of several letters each " * 200
    ids = TOKENIZER.encode(text)[: 64 * 100].reshape(64, 100)
    batch = run(masked, ids, context=99, whole_words=True)
    chosen = batch.targets != IGNORED
    beginnings = word_beginnings(ids[:, :99], TOKENIZER)
    np.testing.assert_array_equal(
        chosen, np.take_along_axis(chosen[:, :99], beginnings, -1)
    )
    assert 0.12 < chosen.mean() < 0.18
    assert not (run(masked, ids, context=99).targets == batch.targets).all()


def test_masked_depends_on_its_generator_only():
    a, b, c = (run(masked, windows(), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.ids, b.ids)
    np.testing.assert_array_equal(a.targets, b.targets)
    assert (a.targets != c.targets).any()


def test_masked_needs_a_mask_token():
    with pytest.raises(UsageError, match=r"\[MASK\]"):
        run(masked, windows(), tokenizer=train_tokenizer("bytes", ""))


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


STORY = "A dog barked. It was hungry.\nIt ran home."
OTHER = "SNOW FELL. THE ROAD WAS WHITE. NOBODY CAME."


def pairs(context: int = 64, n: int = 400, texts=(STORY, OTHER)) -> Batch:
    documents = Documents.encode(texts, FRAMING)
    places = passages(documents, documents.openings())
    chosen = [places[i % len(places)] for i in range(n)]
    objective = OBJECTIVES["mlm+nsp"].batch
    return run(objective, chosen, tokenizer=FRAMING, context=context)


def restored(batch: Batch) -> list[tuple[str, str]]:
    """The two texts of each row, as they were before tokens were hidden."""
    whole = np.where(batch.targets == IGNORED, batch.ids, batch.targets)
    ordinary = np.isin(whole, FRAMING.ordinary_ids)
    return [
        tuple(FRAMING.decode(row[keep & (segments == which)]) for which in (0, 1))
        for row, keep, segments in zip(whole, ordinary, batch.segments, strict=True)
    ]


def test_the_second_text_follows_the_first_or_is_of_another_document():
    batch = pairs()
    follows = 0
    for (a, b), label in zip(restored(batch), batch.labels, strict=True):
        document, another = (STORY, OTHER) if a in STORY else (OTHER, STORY)
        assert a and b and a in document
        assert b in (document if label == 0 else another)
        if label == 0:
            assert a + b in document
            follows += 1
    assert batch.n_labels == len(batch.labels) == 400
    assert 160 < follows < 240  # half of the time: 4 standard deviations


def test_a_pair_stands_in_the_template():
    batch = pairs()
    cls, sep, pad = (FRAMING.specials[name] for name in ("[CLS]", "[SEP]", "[PAD]"))
    for ids, segments, mask in zip(batch.ids, batch.segments, batch.mask, strict=True):
        ids = ids.tolist()
        assert ids[0] == cls
        first, last = (i for i, token in enumerate(ids) if token == sep)
        assert segments.tolist()[: last + 1] == [0] * (first + 1) + [1] * (last - first)
        assert mask.tolist() == [i <= last for i in range(len(ids))]
        assert set(ids[last + 1 :]) <= {pad}


@pytest.mark.parametrize("context", [5, 8, 16, 33])
def test_a_pair_fits_the_context(context):
    batch = pairs(context)
    assert batch.mask.sum(1).max() <= context
    assert all(a and b for a, b in restored(batch))
    special = ~np.isin(batch.ids, FRAMING.ordinary_ids)
    mask = FRAMING.specials["[MASK]"]
    assert (batch.targets[special & (batch.ids != mask)] == IGNORED).all()


def test_seq2seq_predicts_the_target_from_what_came_before_it():
    tokenizer = train_tokenizer(
        "bytes", "", specials=SEQ2SEQ_SPECIALS, template=SEQ2SEQ_TEMPLATE
    )
    pad, bos, eos = (tokenizer.specials[name] for name in SEQ2SEQ_SPECIALS)
    rows = [tuple(tokenizer.encode_all(texts)) for texts in (("ab", "xyz"), ("c", "u"))]
    batch = run(OBJECTIVES["seq2seq"].batch, rows, tokenizer=tokenizer, context=8)
    a, b, c, u, x, y, z = map(ord, "abcuxyz")
    assert batch.source[:, :4].tolist() == [[a, b, eos, pad], [c, eos, pad, pad]]
    assert batch.source_mask.sum(1).tolist() == [3, 2]
    assert batch.ids[:, :4].tolist() == [[bos, x, y, z], [bos, u, eos, pad]]
    wanted = [[x, y, z, eos], [u, eos, IGNORED, IGNORED]]
    assert batch.targets[:, :4].tolist() == wanted
    assert batch.n_targets == 6
    assert batch.mask.sum(1).tolist() == [4, 2]


def test_a_target_that_is_cut_does_not_end_there():
    tokenizer = train_tokenizer(
        "bytes", "", specials=SEQ2SEQ_SPECIALS, template=SEQ2SEQ_TEMPLATE
    )
    rows = [tuple(tokenizer.encode_all(("ab", target))) for target in ("abcdefgh", "x")]
    batch = run(OBJECTIVES["seq2seq"].batch, rows, tokenizer=tokenizer, context=6)
    assert batch.targets[0].tolist() == [*map(ord, "abcde"), IGNORED]
    assert batch.n_targets == 5 + 2


def test_classify_keeps_each_text_with_its_label():
    rows = [(FRAMING.encode("good"), 1), (FRAMING.encode("a very bad one"), 0)]
    batch = run(OBJECTIVES["classify"].batch, rows, tokenizer=FRAMING, context=8)
    assert batch.labels.tolist() == [1, 0]
    assert batch.n_labels == 2
    assert batch.targets is None
    texts = [
        FRAMING.decode(ids[mask][1:-1])
        for ids, mask in zip(batch.ids, batch.mask, strict=True)
    ]
    assert texts == ["good", "a very"]


def test_a_text_without_a_template_is_padded_all_the_same():
    rows = [(TOKENIZER.encode("good"), 1), (TOKENIZER.encode("a very bad one"), 0)]
    batch = run(OBJECTIVES["classify"].batch, rows, context=8)
    assert batch.ids.shape == (2, 8)
    assert batch.mask.sum(1).tolist() == [4, 8]


def test_a_trimmed_batch_lacks_nothing_but_padding():
    rows = [(FRAMING.encode("x" * n), n % 2) for n in (3, 5, 20)]
    batch = run(OBJECTIVES["classify"].batch, rows, tokenizer=FRAMING, context=32)
    short = trimmed(batch.shard(0, 3))
    assert short.ids.shape == short.mask.shape == short.segments.shape == (1, 5)
    np.testing.assert_array_equal(short.ids, batch.ids[:1, :5])
    assert short.labels.tolist() == [1]
    assert trimmed(batch).ids.shape == (3, 22)


def test_what_other_rooms_repeat_is_the_same_number():
    assert ops.IGNORED == IGNORED


def test_a_batch_counts_what_is_to_be_predicted():
    ids = np.zeros((2, 3), np.int32)
    targets = np.array([[1, IGNORED, 0], [IGNORED, IGNORED, 2]])
    assert Batch(ids, targets).n_targets == 3
    assert Batch(ids, targets, 7).n_targets == 7
    assert Batch(ids, targets).shard(0, 2).n_targets == 3
    batch = Batch(ids, labels=np.array([1, 0]))
    assert (batch.n_targets, batch.n_labels) == (0, 2)
