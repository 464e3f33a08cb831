"""Tasks that a model which is right must solve within seconds."""

import numpy as np
import pytest

from minillm.learning.config import TrainConfig
from minillm.learning.evaluate import score
from minillm.learning.learner import Learner
from minillm.learning.worker import batch_at
from minillm.runs.train import train
from minillm.tensor import no_grad
from minillm.text import train_tokenizer
from minillm.text.objectives import MASK
from minillm.text.synthetic.topics import Topics

UNSEEN = 1_000_000  # a step far beyond those that were trained


class Drawn:
    """A text of endless windows of `vocab_size` tokens, for a Learner."""

    labels = ()

    def __init__(self, windows, tokenizer):
        self.windows = windows
        self.tokenizer = tokenizer

    def sampler(self, _config):
        return self.windows

    def validation(self, _config) -> None:
        return None


def learn(windows, vocab_size: int, train_steps, **options) -> Learner:
    """A Learner whose model was trained on these windows of `vocab_size` tokens."""
    config = TrainConfig(
        n_layers=2,
        n_heads=2,
        device="cpu",
        weight_decay=0.0,
        **{"d_model": 32, "batch": 32, "lr": 0.01, **options},
    ).resolve()
    specials = (MASK,) if config.objective == "mlm" else ()
    alphabet = "".join(map(chr, range(ord("a"), ord("a") + vocab_size - 1)))
    tokenizer = train_tokenizer("chars", alphabet, specials=specials)
    assert tokenizer.vocab_size == vocab_size + len(specials)
    learner = Learner(config, Drawn(windows, tokenizer))
    train_steps(learner)
    return learner


def nats_of_targets(model, windows: np.ndarray) -> np.ndarray:
    """−log p of every token but the first, given those before it: (B, T)."""
    with no_grad():
        logits = model(windows[:, :-1]).numpy().astype(float)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return -np.log(np.take_along_axis(p, windows[:, 1:, None], -1))[..., 0]


class Twice:
    """A random string of n tokens, then the same again."""

    def __init__(self, n: int, vocab_size: int):
        self.n = n
        self.vocab_size = vocab_size

    def at(self, step: int, batch_size: int) -> np.ndarray:
        rng = np.random.default_rng((0, step))
        half = rng.integers(self.vocab_size, size=(batch_size, self.n))
        return np.concatenate([half, half], 1).astype(np.int32)


class Periodic:
    """Random strings of distinct tokens, each repeated at a period of its own: where to
    look back to can only be found by what stands there (Olsson et al. 2022)."""

    context = 16
    vocab_size = 12

    def periods(self, step: int, batch_size: int) -> np.ndarray:
        rng = np.random.default_rng((0, step))
        return rng.integers(self.context // 4, self.context // 2 + 1, (batch_size, 1))

    def at(self, step: int, batch_size: int) -> np.ndarray:
        rng = np.random.default_rng((1, step))
        letters = np.tile(np.arange(self.vocab_size), (batch_size, 1))
        letters = rng.permuted(letters, axis=1)
        places = np.arange(self.context + 1) % self.periods(step, batch_size)
        return np.take_along_axis(letters, places, 1).astype(np.int32)


class Counting:
    """Runs up or down by one, modulo the vocabulary: a token follows from its two
    neighbours, and from no one of them alone."""

    def __init__(self, context: int, vocab_size: int):
        self.context = context
        self.vocab_size = vocab_size

    def at(self, step: int, batch_size: int) -> np.ndarray:
        rng = np.random.default_rng((0, step))
        first = rng.integers(self.vocab_size, size=(batch_size, 1))
        direction = rng.choice([-1, 1], (batch_size, 1))
        run = first + direction * np.arange(self.context + 1)
        return (run % self.vocab_size).astype(np.int32)


def test_the_second_half_of_a_repeated_string_is_copied(train_steps):
    windows = Twice(16, vocab_size=16)
    learner = learn(windows, 16, train_steps, context=31, steps=150)
    nats = nats_of_targets(learner.model, windows.at(UNSEEN, 64))
    assert nats[:, 16:].mean() < 0.05
    assert nats[:, :15].mean() > 0.9 * np.log(16)  # chance: nothing tells it


class Delayed:
    """A few random tokens, again and again: each comes back after the same delay, and
    none tells which one stands beside it."""

    def __init__(self, delay: int, context: int, vocab_size: int):
        self.delay = delay
        self.context = context
        self.vocab_size = vocab_size

    def at(self, step: int, batch_size: int) -> np.ndarray:
        rng = np.random.default_rng((0, step))
        period = rng.integers(self.vocab_size, size=(batch_size, self.delay))
        repeats = -(-(self.context + 1) // self.delay)
        return np.tile(period, (1, repeats))[:, : self.context + 1].astype(np.int32)


@pytest.mark.slow
def test_an_lstm_remembers_for_a_while(train_steps):
    windows = Delayed(3, context=24, vocab_size=8)
    learner = learn(windows, 8, train_steps, arch="lstm", context=24, steps=300)
    nats = nats_of_targets(learner.model, windows.at(UNSEEN, 64))
    assert nats[:, 2:].mean() < 0.05
    assert nats[:, :2].mean() > 0.9 * np.log(8)  # chance: nothing tells it


@pytest.mark.slow
def test_a_repetition_is_found_by_its_content(train_steps):
    windows = Periodic()
    learner = learn(windows, 12, train_steps, context=16, steps=400, d_model=48)
    nats = nats_of_targets(learner.model, windows.at(UNSEEN, 64))
    seen_before = np.arange(1, 17) > windows.periods(UNSEEN, 64)
    assert nats[seen_before].mean() < 0.2
    assert nats[~seen_before].mean() > 1.5


def test_masked_tokens_are_restored_from_both_sides(train_steps):
    windows = Counting(16, vocab_size=12)
    options = {"context": 16, "objective": "mlm", "steps": 200}
    before = learn(windows, 12, train_steps, **{**options, "steps": 1, "lr": 0.0})
    learner = learn(windows, 12, train_steps, **options)

    def measure(learner) -> tuple[float, float]:
        tokens = score(learner.model, batch_at(learner.work, UNSEEN)).tokens
        return tokens.loss, tokens.accuracy

    assert measure(before)[1] < 0.3
    loss, accuracy = measure(learner)
    assert loss < 0.15
    assert accuracy > 0.95


@pytest.mark.parametrize(
    ("objective", "arch", "below"),
    [
        ("clm", "gpt", 0.8),
        pytest.param("clm", "lstm", 0.8, marks=pytest.mark.slow),
        ("mlm", "encoder", 0.9),
        pytest.param("mlm", "bert", 0.9, marks=pytest.mark.slow),
    ],
)
def test_a_short_text_is_learned(quick_train, texts, objective, arch, below):
    record = quick_train("a", objective=objective, arch=arch, steps=150, d_model=32)
    uniform = np.log(record["config"]["vocab_size"])
    assert record["results"]["val_loss"] < below * uniform


@pytest.mark.slow
def test_a_text_that_follows_is_told_by_what_it_is_about(tmp_path):
    toy = Topics(documents=2_000)
    config = TrainConfig(
        objective="mlm+nsp",
        data=toy.spec,
        tokenizer="chars",
        n_layers=1,
        d_model=32,
        n_heads=2,
        context=32,
        batch=32,
        steps=400,
        lr=0.01,
        device="cpu",
        workers="1",
        out=tmp_path / "run",
    )
    results = train(config, draw=False)["results"]
    assert results["val_next_sentence_accuracy"] > 0.8  # 0.94 at best
    assert results["val_accuracy"] > 0.5  # one of two letters
