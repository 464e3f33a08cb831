"""Vectors of texts, and what is found with them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minillm import embed, load_run, search, train
from minillm.errors import DataError, UsageError
from minillm.models.bert import Bert
from minillm.tasks.reading import batches
from minillm.tasks.retrieval import FEWEST, standardised

QUICK = {"device": "cpu", "workers": "1", "draw": False}
SHAPE = {"layers": 1, "width": 16, "heads": 2, "context": 16, "batch": 8, "steps": 2}
KINDS = {
    "gpt": {"objective": "clm"},
    "llama": {"objective": "clm", "arch": "llama"},
    "lstm": {"objective": "clm", "arch": "lstm"},
    "encoder": {"objective": "mlm", "tokenizer": "wordpiece"},
    "bert": {"objective": "mlm", "arch": "bert"},
    "encdec": {"objective": "seq2seq", "data": "reverse:rows=100"},
    "classifier": {"objective": "classify", "arch": "bert"},
}


@pytest.fixture(scope="module")
def runs(world, tmp_path_factory) -> dict:
    """A run of each kind, hardly trained."""
    folder = tmp_path_factory.mktemp("runs")
    for name, options in KINDS.items():
        data = world.labelled if name == "classifier" else world.plain
        options = {"data": data, "vocab": 300, **SHAPE, **QUICK, **options}
        train(**options, out=folder / name)
    return {name: load_run(folder / name) for name in KINDS}


def by_hand(run, text: str) -> np.ndarray:
    """The mean over its tokens, window by window, in float64."""
    tokenizer, model = run.tokenizer, run.model
    ids = tokenizer.encode(text)
    template = tokenizer.template
    before, after = [], []
    if template:
        names = template.single.split()
        middle = names.index("$A")
        before = [tokenizer.specials[name] for name in names[:middle]]
        after = [tokenizer.specials[name] for name in names[middle + 1 :]]
    room = model.config.context - len(before) - len(after)
    states = []
    for cut in range(0, len(ids), room):
        window = np.array([[*before, *ids[cut : cut + room], *after]])
        read = model.encode if run.config.arch == "encdec" else model.hidden
        x = read(window).numpy()[0].astype(float)
        states += list(x[len(before) : len(x) - len(after)])
    mean = np.mean(states, axis=0)
    return mean / np.linalg.norm(mean)


@pytest.mark.parametrize("kind", KINDS)
def test_a_vector_is_the_mean_of_the_last_layer_over_the_text(runs, world, kind):
    texts = [text for text, _ in world.further[:20]]
    texts += ["a", "bread " * 40, texts[0]]  # padding, windows, the same again
    vectors = embed(runs[kind], texts)
    assert vectors.shape == (23, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    for text, vector in zip(texts, vectors, strict=True):
        np.testing.assert_allclose(vector, by_hand(runs[kind], text), atol=2e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_model_may_pool_its_special_tokens_too(runs, world, pooling):
    run = runs["bert"]
    model = Bert(replace(run.model.config, pooling=pooling), np.random.default_rng(0))
    pooled = replace(run, model=model)
    texts = [text[:12] for text, _ in world.further[:9]]  # one window
    for text, vector in zip(texts, embed(pooled, texts), strict=True):
        ids, _ = run.tokenizer.frame(run.tokenizer.encode(text), room=16)
        x = model.hidden(ids[None]).numpy()[0]
        expected = x[0] if pooling == "cls" else x.mean(0)
        expected /= np.linalg.norm(expected)
        np.testing.assert_allclose(vector, expected, atol=2e-6)


def test_batches_hold_every_text_once_and_little_padding(runs):
    rng = np.random.default_rng(0)
    texts = [np.zeros(n, np.int32) for n in rng.integers(1, 40, 2000)]
    run = runs["bert"]
    seen, tokens, room = [], 0, 0
    for rows, framed in batches(run, texts):
        seen += rows.tolist()
        tokens, room = tokens + framed.mask.sum(), room + framed.mask.size
        lengths = [min(16, len(texts[row]) + 2) for row in rows]
        assert framed.mask.sum(axis=1).tolist() == lengths
    assert sorted(seen) == list(range(2000))
    assert tokens > 0.9 * room


@pytest.mark.parametrize("arch", ["bert", "gpt"])
def test_a_text_is_nearer_to_its_near_duplicate_than_to_others(world, pretrained, arch):
    texts = [text for text, _ in world.further]
    rng = np.random.default_rng(0)

    def without_a_word(text: str) -> str:
        words = text.split()
        del words[rng.integers(len(words))]
        return " ".join(words)

    run = load_run(pretrained(arch))
    vectors = embed(run, texts)
    others = embed(run, list(map(without_a_word, texts)))
    likeness = others @ vectors.T
    own = likeness.diagonal()[:, None]
    assert np.mean(likeness > own) < 0.05  # by chance: half of the others are nearer


@pytest.mark.parametrize("arch", ["bert", "gpt"])
def test_search_finds_the_topic_without_a_common_word(world, pretrained, arch):
    content = Path(world.labelled).read_text(encoding="utf-8")
    rows = [line.split("\t") for line in content.splitlines()]
    run = load_run(pretrained(arch))
    right = [
        rows[hit.line - 1][1] == topic
        for query, topic in world.further[:40]
        for hit in search(run, [text for text, _ in rows], query)
    ]
    assert np.mean(right) > 0.8  # by chance: 0.33


def test_search_finds_the_line_and_its_number(runs, tmp_path):
    lines = [f"line {n} of the {'sea' if n % 3 else 'lamp'}" for n in range(40)]
    lines[10], lines[20] = "", "   "
    lines[30] = "  一座灯塔  "
    path = tmp_path / "corpus.txt"
    path.write_text("\r\n".join(lines), encoding="utf-8")
    hits = search(str(runs["gpt"].path), path, "一座灯塔", top=3)
    assert (hits[0].line, hits[0].text) == (31, "一座灯塔")
    assert hits[0].score == pytest.approx(1, abs=1e-5)
    assert [hit.score for hit in hits] == sorted((h.score for h in hits), reverse=True)
    assert search(runs["gpt"], lines, "一座灯塔", top=3) == hits
    assert len(search(runs["gpt"], lines, "sea", top=100)) == 38


@pytest.mark.parametrize("n", [1, 2, FEWEST - 1, FEWEST])
def test_search_also_in_few_lines_and_in_equal_ones(runs, n):
    lines = [f"the sea {k}" for k in range(n)]
    hits = search(runs["bert"], lines, lines[-1])
    assert hits[0].line == n
    assert hits[0].score == pytest.approx(1, abs=1e-5)
    for hit in search(runs["bert"], ["the sea"] * n, "a lamp"):
        assert -1.001 <= hit.score <= 1.001


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (["the sea"] * 20, 1),
        (["the sea"] * 10 + ["a lamp"] * 10, 1),
        (["a lamp"] * 19 + ["the sea"], 20),
        (["a lamp", "the sea"] + ["a lamp"] * 18, 2),
    ],
)
@pytest.mark.parametrize("query", ["the sea", " the sea\n"])
def test_the_same_line_has_a_cosine_of_1(runs, lines, line, query):
    """Also where the lines differ by nothing but the rounding of their vectors."""
    for run in runs.values():
        hit = search(run, lines, query)[0]
        assert (hit.line, hit.score) == (line, pytest.approx(1, abs=1e-4))
        assert search(run, ["the sea"] * 20, "a lamp")[0].score < 0.9999


def test_standardised_vectors_have_lost_what_all_share():
    rng = np.random.default_rng(0)
    vectors = 5 + rng.normal(size=(500, 8)) * [1, 1, 1, 1, 1, 1, 1, 100]
    other = np.array([[5 + 1.0, 5, 5, 5, 5, 5, 5, 5]])
    mine, other = standardised(vectors, other)
    np.testing.assert_allclose(np.linalg.norm(mine, axis=1), 1)
    assert np.abs(mine.mean(axis=0)).max() < 0.1
    spread = mine.std(axis=0)
    assert spread.max() < 1.2 * spread.min()
    assert other[0, 0] > 0.95


def test_what_cannot_be_read_is_said(runs, tmp_path):
    run = runs["gpt"]
    with pytest.raises(UsageError, match="' ' is an empty text"):
        embed(run, ["the sea", " "])
    with pytest.raises(UsageError, match="'' is an empty text"):
        search(run, ["the sea"], "")
    with pytest.raises(UsageError, match="top must be at least 1, got 0"):
        search(run, ["the sea"], "a", top=0)
    with pytest.raises(DataError, match="without text"):
        search(run, ["", " "], "a")
    blank = tmp_path / "blank.txt"
    blank.write_text("\n \n", encoding="utf-8")
    with pytest.raises(DataError, match=r"blank\.txt: holds no text"):
        search(run, blank, "a")
    assert embed(run, []).shape == (0, 16)
    assert embed(run, "one text").shape == (1, 16)
