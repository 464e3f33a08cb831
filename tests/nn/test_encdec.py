"""The encoder–decoder: who sees what of source and target, and how it writes."""

import numpy as np
import pytest

from minillm.errors import UsageError
from minillm.generation import Decoder
from minillm.models import ModelConfig, build, count, usual
from minillm.nn import Noise
from minillm.text import Batch

VOCAB, LENGTH, SOURCE_LENGTH, CONTEXT = 11, 6, 5, 8
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, VOCAB, (3, LENGTH))
SOURCE = RNG.integers(0, VOCAB, (3, SOURCE_LENGTH))
LENGTHS = np.array([5, 3, 1])
SOURCE_MASK = np.arange(SOURCE_LENGTH) < LENGTHS[:, None]
SETTINGS = pytest.mark.parametrize(
    "settings",
    [{}, {"norm": "pre"}, {"positions": "learned"}, {"bias": False}],
    ids=str,
)


def make(dtype=np.float64, n_layers=2, **settings):
    settings = usual("encdec") | settings
    config = ModelConfig(VOCAB, n_layers, 8, 2, CONTEXT, arch="encdec", **settings)
    return build(config, np.random.default_rng(1), dtype)


def batch(**fields) -> Batch:
    targets = np.where(RNG.random(IDS.shape) < 0.8, np.roll(IDS, -1, 1), -1)
    n_targets = int((targets >= 0).sum())
    return Batch(
        IDS, targets, n_targets, source=SOURCE, source_mask=SOURCE_MASK, **fields
    )


def changed(a, b) -> np.ndarray:
    return np.abs(a.numpy() - b.numpy()).max(-1) > 1e-9


def with_another_token(ids, t: int) -> np.ndarray:
    other = ids.copy()
    other[:, t] = (other[:, t] + 1) % VOCAB
    return other


@SETTINGS
@pytest.mark.parametrize("t", range(LENGTH))
def test_a_target_sees_its_past_and_only_its_past(settings, t):
    m = make(**settings)
    found = changed(m(with_another_token(IDS, t), SOURCE), m(IDS, SOURCE))
    assert (found == (np.arange(LENGTH) >= t)).all()


@SETTINGS
@pytest.mark.parametrize("s", range(SOURCE_LENGTH))
def test_every_target_sees_all_of_the_source_but_its_padding(settings, s):
    m = make(**settings)
    texts = [with_another_token(SOURCE, s), SOURCE]
    assert changed(*(m(IDS, source) for source in texts)).all()
    found = changed(*(m(IDS, source, source_mask=SOURCE_MASK) for source in texts))
    assert (found == SOURCE_MASK[:, s, None]).all()


def test_padding_is_as_if_it_were_not_there():
    m = make()
    mask = np.arange(LENGTH) < np.array([[4], [6], [2]])
    together = m(IDS, SOURCE, mask=mask, source_mask=SOURCE_MASK).numpy()
    for row, (n, s) in enumerate(zip(mask.sum(1), LENGTHS, strict=True)):
        alone = m(IDS[row : row + 1, :n], SOURCE[row : row + 1, :s]).numpy()
        np.testing.assert_allclose(together[row, :n], alone[0])


def test_the_rows_of_a_batch_do_not_see_each_other():
    m = make()
    together = m(IDS, SOURCE).numpy()
    for row in range(3):
        alone = m(IDS[row : row + 1], SOURCE[row : row + 1]).numpy()
        np.testing.assert_allclose(alone[0], together[row])


@SETTINGS
def test_a_batch_is_read_as_it_is_called(settings):
    m = make(**settings)
    whole = batch()
    logits = m.project(m.read(whole)).numpy()
    np.testing.assert_allclose(m(IDS, SOURCE, source_mask=SOURCE_MASK).numpy(), logits)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    at_target = np.take_along_axis(p, np.maximum(whole.targets, 0)[..., None], -1)
    expected = -np.log(at_target[whole.targets >= 0]).mean()
    assert m.loss(whole).item() == pytest.approx(expected)


@SETTINGS
def test_the_gradient_of_its_loss(settings, check_loss):
    check_loss(make(n_layers=1, **settings), batch())


def test_its_loss_is_the_sum_of_its_shards():
    m, whole = make(), batch()
    shards = [whole.shard(rank, 2) for rank in range(2)]
    for noise in (None, 0.3):
        losses = [
            m.loss(each, noise and Noise(noise, 1, 2, each.first_row)).item()
            for each in (whole, *shards)
        ]
        assert losses[0] == pytest.approx(sum(losses[1:]), rel=1e-12)


def test_a_replica_shares_its_weights():
    m = make()
    copy = m.replica()
    copy.loss(batch()).backward()
    for (name, p), (other, q) in zip(
        m.named_parameters(), copy.named_parameters(), strict=True
    ):
        assert name == other
        assert np.shares_memory(p.data, q.data)
        assert p.grad is None
        assert q.grad is not None
    assert copy.head is copy.tokens.weight


@SETTINGS
def test_its_parameters_are_counted_before_it_is_built(settings):
    m = make(**settings)
    counted = count.parameters(m.config)
    named = dict(m.named_parameters())
    assert counted["total"] == sum(p.size for p in named.values())
    others = [
        p for name, p in named.items() if name not in ("tokens.weight", "positions")
    ]
    assert counted["non_embedding"] == sum(p.size for p in others)
    matrices = sum(p.size for p in others if p.ndim == 2)
    assert counted["matrices_and_head"] == matrices + VOCAB * 8


def test_tokens_and_positions_are_about_as_large():
    config = ModelConfig(500, 1, 64, 2, 32, arch="encdec", **usual("encdec"))
    m = build(config, np.random.default_rng(0))
    tokens = 8 * m.tokens.weight.numpy()  # times the root of 64
    assert (tokens**2).mean() == pytest.approx(1, rel=0.05)
    assert (m.positions.numpy() ** 2).mean() == pytest.approx(0.5, rel=0.05)
    ids = np.arange(30)[None]
    assert m.embed(ids).numpy()[0, 3] == pytest.approx(
        tokens[3] + m.positions.numpy()[3]
    )


@SETTINGS
def test_decoding_with_a_cache_is_the_same_as_without(settings):
    m = make(**settings)
    expected = m(IDS, SOURCE, source_mask=SOURCE_MASK).numpy()
    writer = m.conditioned(SOURCE, SOURCE_MASK)
    np.testing.assert_allclose(writer(IDS).numpy(), expected)
    cache = writer.new_cache(3)
    np.testing.assert_allclose(writer.decode(IDS[:, :2], cache), expected[:, 1])
    for t in range(2, LENGTH):
        logits = writer.decode(IDS[:, t : t + 1], cache)
        np.testing.assert_allclose(logits, expected[:, t])


@SETTINGS
@pytest.mark.parametrize("mask", [None, SOURCE_MASK], ids=["whole", "padded"])
def test_a_decoder_writes_beside_each_source_also_beyond_the_context(settings, mask):
    """Prompts of several lengths, rows that come twice, change places and are read
    again when the context is full."""
    m = make(**settings)
    prompts = [[1], [1, 2, 3], [1, 5]]
    cached, plain = (
        Decoder(m.conditioned(SOURCE, mask), prompts, cached=c) for c in (True, False)
    )
    for step in range(2 * CONTEXT):
        np.testing.assert_allclose(cached.logits(), plain.logits(), rtol=1e-9)
        for each in (cached, plain):
            if step in (1, CONTEXT, CONTEXT + 3):
                each.select([2, 0, 0, 1][: 4 if step == 1 else 3])
            each.append([(step + row) % VOCAB for row in range(len(each.sequences))])


def test_sources_are_read_once_and_their_keys_kept(monkeypatch):
    m = make()
    reads = []
    encode, keys = m.encode, m.decoder[0].cross.kv
    monkeypatch.setattr(m, "encode", lambda *a, **k: reads.append(0) or encode(*a, **k))
    monkeypatch.setattr(m.decoder[0].cross, "kv", lambda x: reads.append(1) or keys(x))
    decoder = Decoder(m.conditioned(SOURCE), [[1], [1], [1]])
    for _ in range(4):
        decoder.logits()
        decoder.append([1] * len(decoder.sequences))
        decoder.select([0, 0, 2, 1][: len(decoder.sequences) + 1])
    assert reads == [0, 1]


def test_what_cannot_be_read():
    m = make()
    with pytest.raises(UsageError, match="token id 11 is outside the vocabulary of 11"):
        m(IDS, np.full_like(SOURCE, VOCAB))
    with pytest.raises(UsageError, match=r"9 tokens is longer than .* context of 8"):
        m.conditioned(np.zeros((1, 9), int))
    with pytest.raises(UsageError, match=r"9 tokens is longer than .* context of 8"):
        m(np.zeros((3, 9), int), SOURCE)
    with pytest.raises(UsageError, match="an empty source"):
        m.conditioned(np.zeros((1, 0), int))
    with pytest.raises(UsageError, match="needs a source to read: this batch has none"):
        m.loss(Batch(IDS, IDS, IDS.size))
    with pytest.raises(UsageError, match="cache for 2 sequences and 3 sources"):
        m.conditioned(SOURCE).new_cache(2)


def test_it_continues_a_text_once_it_has_read_a_source():
    m = make()
    assert not m.continues_text
    assert m.conditioned(SOURCE).continues_text


def test_it_makes_no_classifier():
    with pytest.raises(UsageError, match="encdec writes texts: for n_classes choose"):
        make(n_classes=3)


START = 0


def reversals(rng, n=32) -> Batch:
    """A source of 2 to 5 letters, and the same letters from behind, then START."""
    lengths = rng.integers(2, SOURCE_LENGTH + 1, n)
    source = rng.integers(1, VOCAB, (n, SOURCE_LENGTH))
    source_mask = np.arange(SOURCE_LENGTH) < lengths[:, None]
    targets = np.full((n, SOURCE_LENGTH + 1), -1)
    for row, length in enumerate(lengths):
        targets[row, : length + 1] = [*source[row, :length][::-1], START]
    ids = np.full_like(targets, START)
    ids[:, 1:] = np.maximum(targets[:, :-1], START)
    n_targets = int((targets >= 0).sum())
    return Batch(ids, targets, n_targets, source=source, source_mask=source_mask)


def test_it_learns_to_write_a_text_from_behind(learn):
    config = ModelConfig(VOCAB, 2, 32, 2, CONTEXT, arch="encdec", **usual("encdec"))
    model = build(config, np.random.default_rng(0))
    losses = learn(model, reversals, steps=400, lr=0.003)
    assert np.mean(losses[-10:]) < 0.1
    unseen = reversals(np.random.default_rng(1))
    writer = model.conditioned(unseen.source, unseen.source_mask)
    decoder = Decoder(writer, [[START]] * 32)
    for _ in range(SOURCE_LENGTH + 1):
        decoder.append(decoder.logits().argmax(-1))
    written = np.array(decoder.sequences)[:, 1:]
    right = (written == unseen.targets)[unseen.targets >= 0]
    assert right.mean() > 0.95
