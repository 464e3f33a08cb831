"""Classifiers: any body, one vector a sequence, a label."""

import numpy as np
import pytest

from minillm.errors import UsageError
from minillm.models import ModelConfig, build, usual
from minillm.nn import Noise
from minillm.text import Batch

VOCAB, LENGTH, CLASSES = 11, 6, 3
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, VOCAB, (3, LENGTH))
MASK = np.arange(LENGTH) < np.array([[6], [4], [5]])
LABELS = np.array([0, 2, 1])
BATCH = Batch(IDS, mask=MASK, labels=LABELS, n_labels=3)
BODIES = pytest.mark.parametrize("arch", ["gpt", "llama", "encoder", "lstm", "bert"])


def make(arch, dtype=np.float64, n_classes=CLASSES, **settings):
    settings = usual(arch) | {"n_classes": n_classes} | settings
    config = ModelConfig(VOCAB, 2, 8, 2, 8, arch=arch, **settings)
    return build(config, np.random.default_rng(1), dtype)


def label_logits(model, batch=BATCH) -> np.ndarray:
    return model.label_logits(model.read(batch), batch).numpy()


@BODIES
def test_its_loss_is_the_cross_entropy_of_the_labels(arch):
    m = make(arch)
    logits = label_logits(m)
    assert logits.shape == (3, CLASSES)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = -np.log(p[range(3), LABELS]).mean()
    assert m.loss(BATCH).item() == pytest.approx(expected)


@BODIES
def test_its_body_is_the_plain_model_by_name_and_weight(arch):
    plain = dict(make(arch, n_classes=0).named_parameters())
    own = {"classes.weight", "classes.bias"}
    body = {name: p for name, p in make(arch).named_parameters() if name not in own}
    for name, p in body.items():
        same = plain.pop(name.removeprefix("body."))
        np.testing.assert_array_equal(p.numpy(), same.numpy())
    predict_tokens = {"head", "transform", "output_bias", "next_sentence"}
    assert {name.split(".")[0] for name in plain} <= predict_tokens


@BODIES
def test_every_parameter_takes_part(arch):
    m = make(arch)
    m.loss(BATCH).backward()
    assert all(p.grad is not None for p in m.parameters())


@BODIES
def test_padding_changes_no_label(arch):
    m = make(arch)
    together = label_logits(m)
    for row, length in enumerate(MASK.sum(1)):
        alone = Batch(IDS[row : row + 1, :length])
        np.testing.assert_allclose(label_logits(m, alone)[0], together[row])


def test_each_body_has_its_own_vector_of_a_sequence():
    for arch, expected in {
        "gpt": lambda x, n: x[n - 1],
        "llama": lambda x, n: x[n - 1],
        "lstm": lambda x, n: x[n - 1],
        "encoder": lambda x, n: x[:n].mean(0),
    }.items():
        m = make(arch)
        x = m.read(BATCH)
        found = m.body.pooled(x, MASK).numpy()
        for row, n in enumerate(MASK.sum(1)):
            np.testing.assert_allclose(found[row], expected(x.numpy()[row], n))
    bert = make("bert").body
    x = bert.read(BATCH)
    w, b = bert.pooler.weight.numpy(), bert.pooler.bias.numpy()
    np.testing.assert_allclose(bert.pooled(x).numpy(), np.tanh(x.numpy()[:, 0] @ w + b))


def test_the_vector_of_a_sequence_drops_too():
    m = make("encoder")
    x = m.read(BATCH)
    clear = label_logits(m)
    noisy = [m.label_logits(x, BATCH, Noise(0.5, 1, 2)).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*noisy)
    assert np.abs(noisy[0] - clear).min() > 1e-9


@BODIES
def test_the_gradient_of_its_loss(arch, check_loss):
    check_loss(make(arch), BATCH)


@BODIES
def test_a_replica_shares_its_weights(arch):
    m = make(arch)
    copy = m.replica()
    copy.loss(BATCH).backward()
    for (name, p), (other, q) in zip(
        m.named_parameters(), copy.named_parameters(), strict=True
    ):
        assert name == other
        assert np.shares_memory(p.data, q.data)
        assert p.grad is None
        assert q.grad is not None


def test_it_predicts_no_tokens():
    m = make("gpt")
    for ask in (lambda: m(IDS), lambda: m.project(m.read(BATCH))):
        with pytest.raises(UsageError, match="predicts labels and no tokens"):
            ask()
    assert not m.continues_text


def test_it_learns_from_nothing_but_labels():
    with pytest.raises(UsageError, match="learns from labels: this batch has none"):
        make("gpt").loss(Batch(IDS, IDS, IDS.size))


@pytest.mark.parametrize("arch", ["gpt", "llama", "encoder", "lstm"])
def test_a_plain_model_predicts_no_labels(arch):
    m = make(arch, n_classes=0)
    assert m.n_classes == 0
    with pytest.raises(UsageError, match=f"arch {arch} predicts tokens and no labels"):
        m.loss(BATCH)


@pytest.mark.parametrize(
    ("n_classes", "words"),
    [(1, "0 .* or at least 2, got 1"), (-1, "got -1"), (2.0, "whole number, got 2.0")],
)
def test_a_number_of_classes_that_cannot_be(n_classes, words):
    with pytest.raises(UsageError, match=rf"n_classes must be .*{words}"):
        make("gpt", n_classes=n_classes)


def numbers(rng) -> Batch:
    """Numbers, one of them below 3, wherever it stands: that is the label."""
    ids = rng.integers(3, VOCAB, (32, LENGTH))
    labels = rng.integers(0, CLASSES, 32)
    lengths = rng.integers(3, LENGTH + 1, 32)
    ids[np.arange(32), rng.integers(0, lengths)] = labels
    mask = np.arange(LENGTH) < lengths[:, None]
    return Batch(ids, mask=mask, labels=labels, n_labels=32)


@BODIES
def test_it_learns_which_small_number_is_in_a_sequence(arch, learn):
    losses = learn(make(arch, np.float32), numbers, steps=300, lr=0.01)
    assert losses[0] > 0.8
    assert np.mean(losses[-10:]) < 0.1
