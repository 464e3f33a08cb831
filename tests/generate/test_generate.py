"""Continuing a text: the cache, the draws, the end of the context."""

import numpy as np
import pytest

import minillm
from minillm.errors import DataError, UsageError
from minillm.generation import continue_ids, generate, sample
from minillm.models import ModelConfig, build
from minillm.training.loop import train

CONTEXT = 12
SHAPE = {"vocab_size": 30, "n_layers": 2, "d_model": 16, "n_heads": 2}


@pytest.fixture(scope="module")
def model():
    """An untrained model of strong opinions."""
    config = ModelConfig(**SHAPE, context=CONTEXT, init="fan_in", tied=False)
    model = build(config, np.random.default_rng(0))
    for table in (model.tokens.weight, model.positions):
        table.data *= 10
    return model


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict:
    """Folders of short runs on the package's own bilingual text, by objective."""
    folder = tmp_path_factory.mktemp("runs")
    options = {"size": "pico", "data": "bilingual", "device": "cpu", "workers": "1"}
    shape = {"context": 32, "width": 32, "batch": 16, "lr": 0.02, "steps": 250}
    for objective, steps in (("clm", 250), ("mlm", 2)):
        train(
            **{**options, **shape, "steps": steps},
            objective=objective,
            out=str(folder / objective),
        )
    return {objective: folder / objective for objective in ("clm", "mlm")}


def uncached(model, ids: list[int], n: int) -> list[int]:
    """Greedy decoding that computes every column anew. When the context is full, it
    goes on with its later half."""
    seen, visible = list(ids), list(ids)[-CONTEXT:]
    for _ in range(n):
        if len(visible) > CONTEXT:
            visible = seen[-CONTEXT // 2 :]
        token = int(model(np.array([visible])).numpy()[0, -1].argmax())
        seen.append(token)
        visible.append(token)
    return seen[len(ids) :]


def greedy(model, ids, n: int) -> list[int]:
    rng = np.random.default_rng(0)
    return continue_ids(model, np.array(ids), max_tokens=n, temperature=0, rng=rng)


@pytest.mark.parametrize("length", [1, 5, CONTEXT - 1, CONTEXT, CONTEXT + 1, 40])
def test_the_cache_changes_no_token_also_beyond_the_context(model, length):
    ids = np.random.default_rng(length).integers(30, size=length)
    new = greedy(model, ids, 3 * CONTEXT)
    assert new == uncached(model, ids, 3 * CONTEXT)
    assert len(set(new)) > 3


def test_a_context_of_one_still_writes():
    config = ModelConfig(**SHAPE, context=1)
    tiny = build(config, np.random.default_rng(0))
    assert len(greedy(tiny, [1, 2], 5)) == 5


def test_a_longer_answer_begins_with_the_shorter(model):
    assert greedy(model, [1, 2], 20)[:7] == greedy(model, [1, 2], 7)
    assert greedy(model, [1, 2], 0) == []


def draws(logits, temperature, top_k, n: int = 5_000) -> np.ndarray:
    """How often each token is drawn."""
    rng = np.random.default_rng(0)
    tokens = [sample(logits, temperature, top_k, rng) for _ in range(n)]
    return np.bincount(tokens, minlength=len(logits))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("top_k", [None, 1, 3, 5, 99])
def test_draws_follow_the_distribution(temperature, top_k):
    logits = np.array([1.0, 0.2, -0.5, 2.0, 0.9], np.float32)
    p = np.exp(logits.astype(float)) ** (1 / temperature)
    if top_k:
        p[np.argsort(-logits)[top_k:]] = 0
    p /= p.sum()
    counts = draws(logits, temperature, top_k)
    assert (counts[p == 0] == 0).all()
    expected = counts.sum() * p[p > 0]
    chi_squared = ((counts[p > 0] - expected) ** 2 / expected).sum()
    assert chi_squared < 20  # P(χ² with 4 degrees of freedom > 20) = 0.0005


def test_extreme_temperatures_and_logits_are_harmless():
    logits = np.array([-1e30, 3.0, 2.9999, -np.inf], np.float32)
    assert draws(logits, 0, None, 5)[1] == 5
    assert draws(logits, 1e-300, None, 5)[1] == 5
    assert (draws(np.zeros(3, np.float32), 1e300, None, 300) > 50).all()


def test_the_seed_decides_the_draws(runs):
    texts = [generate(runs["clm"], "灯塔", seed=seed, top_k=9) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    calm = [generate(runs["clm"], "The", temperature=0, seed=seed) for seed in (1, 2)]
    assert calm[0] == calm[1]


def test_chinese_and_english_come_back_from_a_short_run(runs):
    record = minillm.load_run(runs["clm"]).record
    assert record["results"]["train_loss"] < 0.5 * np.log(
        record["config"]["vocab_size"]
    )
    chinese = generate(runs["clm"], "在大海之前的最后一座小岛上，", max_tokens=60)
    english = generate(runs["clm"], "On the last island", max_tokens=60)
    assert any("\u4e00" <= character <= "\u9fff" for character in chinese)
    assert any("a" <= character <= "z" for character in english)


def test_what_was_learned_by_heart_is_said(runs):
    text = generate(runs["clm"], "The ships had learned to", temperature=0)
    assert text.startswith(" find their way by listening to the sky")


@pytest.mark.parametrize("prompt", ["", "🙂", "x" * 500, "[MASK]"])
def test_any_prompt_is_continued(runs, prompt):
    run = minillm.load_run(runs["clm"])
    text = generate(run, prompt, max_tokens=40)
    assert text and isinstance(text, str)


def test_a_masked_model_cannot_continue(runs):
    with pytest.raises(UsageError, match="masked model"):
        generate(runs["mlm"], "The")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", 0),
        ("top_k", -3),
        ("max_tokens", -1),
        ("seed", -1),
    ],
)
def test_settings_out_of_range_are_refused(runs, name, value):
    with pytest.raises(UsageError, match=f"{name} must be at least"):
        generate(runs["clm"], "The", **{name: value})


def test_a_run_that_is_not_there_is_said():
    with pytest.raises(DataError, match="no/run"):
        generate("no/run", "The")
