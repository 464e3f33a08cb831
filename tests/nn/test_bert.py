"""BERT: two texts, two losses."""

import numpy as np
import pytest

from minillm.errors import UsageError
from minillm.models import ModelConfig, build
from minillm.text import Batch

VOCAB, LENGTH = 11, 6
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, VOCAB, (3, LENGTH))
SEGMENTS = np.array([[0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1]])
MASK = np.arange(LENGTH) < np.array([[6], [4], [5]])
TARGETS = np.where(RNG.random(IDS.shape) < 0.3, IDS, -1)
LABELS = np.array([0, 1, 1])
N_TARGETS = int((TARGETS >= 0).sum())
TOKENS = {"targets": TARGETS, "n_targets": N_TARGETS}
SENTENCES = {"labels": LABELS, "n_labels": 3}
NORMS = pytest.mark.parametrize("norm", ["post", "pre"])


def bert(norm="post", dtype=np.float64):
    config = ModelConfig(VOCAB, 2, 8, 2, 8, arch="bert", norm=norm, tied=True)
    return build(config, np.random.default_rng(1), dtype)


def batch(**fields) -> Batch:
    return Batch(IDS, mask=MASK, segments=SEGMENTS, **fields)


def test_a_text_without_segments_is_a_first_text():
    m = bert()
    alone = m(IDS).numpy()
    np.testing.assert_allclose(m(IDS, segments=np.zeros_like(IDS)).numpy(), alone)
    assert np.abs(m(IDS, segments=SEGMENTS).numpy() - alone).min() > 1e-9


@pytest.mark.parametrize(
    "segments",
    [np.full_like(IDS, 2), np.full_like(IDS, -1), SEGMENTS[:2], SEGMENTS / 2],
    ids=["2", "-1", "two rows", "halves"],
)
def test_segments_that_cannot_be(segments):
    with pytest.raises(UsageError, match=r"segments must be 0 or 1 for each of .*got"):
        bert().hidden(IDS, segments=segments)


@NORMS
def test_the_losses_of_tokens_and_labels_add_up(norm):
    m = bert(norm)
    tokens, sentences = m.loss(batch(**TOKENS)), m.loss(batch(**SENTENCES))
    both = m.loss(batch(**TOKENS, **SENTENCES))
    assert both.item() == pytest.approx(tokens.item() + sentences.item())
    logits = m.label_logits(m.read(batch()), batch()).numpy()
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    assert sentences.item() == pytest.approx(-np.log(p[range(3), LABELS]).mean())


def test_a_batch_of_tokens_teaches_nothing_about_sentences():
    m = bert()
    m.loss(batch(**TOKENS)).backward()
    untaught = {name for name, p in m.named_parameters() if p.grad is None}
    assert untaught == {
        f"{layer}.{name}"
        for layer in ("pooler", "next_sentence")
        for name in ("weight", "bias")
    }


def test_pre_norm_ends_in_a_norm_and_post_norm_in_its_blocks():
    for norm in ("pre", "post"):
        m = bert(norm)
        for p in m.parameters():
            p.data *= 3
        hidden = m.hidden(IDS).numpy()
        expected = m.norm if norm == "pre" else m.blocks[-1].norm2
        np.testing.assert_allclose(hidden.std(-1), expected.gain.data[0], rtol=1e-3)
    assert bert("post").norm is None


@NORMS
def test_the_gradient_of_both_losses(norm, check_loss):
    check_loss(bert(norm), batch(**TOKENS, **SENTENCES))


def pairs(rng, n=32, half=4) -> Batch:
    """[3] a text [4], then the same text, or one with every letter the next one (5 to
    10); one letter of the second is hidden (0)."""
    first = rng.integers(5, 11, (n, half))
    labels = rng.integers(0, 2, n)
    second = 5 + (first - 5 + labels[:, None]) % 6
    begin, middle = np.full((n, 1), 3), np.full((n, 1), 4)
    whole = np.concatenate([begin, first, middle, second], 1)
    hidden = np.zeros(whole.shape, bool)
    hidden[np.arange(n), half + 2 + rng.integers(0, half, n)] = True
    segments = np.broadcast_to(np.arange(whole.shape[1]) > half + 1, whole.shape)
    return Batch(
        np.where(hidden, 0, whole),
        np.where(hidden, whole, -1),
        n,
        segments=segments.astype(np.int32),
        labels=labels,
        n_labels=n,
    )


def test_it_learns_what_the_second_text_is_of_the_first(learn):
    """The hidden letter follows from the first text and from how the others differ."""
    config = ModelConfig(11, 2, 32, 4, 10, arch="bert", norm="post", tied=True)
    model = build(config, np.random.default_rng(0))
    losses = learn(model, pairs, steps=250, lr=0.003)
    knowing_nothing = np.log(6) + np.log(2)
    assert losses[0] > knowing_nothing
    assert np.mean(losses[-10:]) < 0.1 * knowing_nothing
