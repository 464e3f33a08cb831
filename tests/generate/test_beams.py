"""Beam search, against a search through every continuation."""

import itertools

import numpy as np
import pytest

import minillm
from minillm.errors import UsageError
from minillm.generation import Decoder, Sampling, beam_search, draw_tokens, generate
from minillm.generation.beams import log_softmax
from minillm.generation.text_stream import TextStream
from minillm.models import ModelConfig, build

V, LENGTH = 4, 4
EVERY = V**LENGTH


def tiny(seed: int, scale: float = 6):
    config = ModelConfig(V, 1, 8, 2, context=8, tied=False)
    model = build(config, np.random.default_rng(seed), dtype=np.float64)
    for table in (model.tokens.weight, model.positions, model.head):
        table.data *= scale
    return model


def log_probability(model, prompt, ids) -> float:
    """Of a continuation, by the plain model: one pass over all of it."""
    whole = np.array([[*prompt, *ids]])
    log_p = log_softmax(model(whole).numpy()[0])
    at = range(len(prompt) - 1, whole.shape[1] - 1)
    return sum(log_p[t, token] for t, token in zip(at, ids, strict=True))


def search_all(model, prompt, end=None) -> list[tuple[float, tuple]]:
    """Every continuation that ends with its first `end` or with LENGTH tokens, by the
    plain model: one pass over all of them."""
    every = np.array(list(itertools.product(range(V), repeat=LENGTH)))
    whole = np.hstack([np.tile(prompt, (EVERY, 1)), every])
    log_p = log_softmax(model(whole).numpy())[:, len(prompt) - 1 : -1]
    log_p = np.take_along_axis(log_p, every[..., None], -1)[..., 0].cumsum(-1)
    found = {}
    for ids, sums in zip(map(tuple, every.tolist()), log_p, strict=True):
        cut = ids.index(end) + 1 if end in ids else LENGTH
        found[ids[:cut]] = sums[cut - 1] / cut
    return sorted(((score, ids) for ids, score in found.items()), reverse=True)


@pytest.mark.parametrize("end", [None, 0, 2])
@pytest.mark.parametrize("n", [1, 6])
@pytest.mark.parametrize("seed", range(6))
def test_with_all_beams_it_finds_the_best_of_all(seed, n, end):
    model, prompt = tiny(seed, 2), [1, 3]
    expected = search_all(model, prompt, end)[:n]
    found = beam_search(
        Decoder(model, [prompt]),
        beams=EVERY,
        max_tokens=LENGTH,
        n=n,
        ended=lambda ids: ids[-1] == end,
    )
    assert [each.ids for each in found] == [ids for _, ids in expected]
    np.testing.assert_allclose(
        [each.score for each in found], [score for score, _ in expected], rtol=1e-9
    )


@pytest.mark.parametrize("beams", [1, 2, 5])
def test_a_few_beams_know_the_probability_of_what_they_found(beams):
    for seed in range(4):
        model = tiny(seed)
        decoder = Decoder(model, [[2]])
        for each in beam_search(decoder, beams=beams, max_tokens=6, n=beams):
            expected = log_probability(model, [2], each.ids)
            assert each.log_probability == pytest.approx(expected)
            assert len(each.ids) == 6


def test_one_beam_is_greedy_also_beyond_the_context(model):
    decoders = [Decoder(model, [[1, 2]]) for _ in range(2)]
    greedy = draw_tokens(decoders[0], max_tokens=30, sampling=Sampling(0))
    (found,) = beam_search(decoders[1], beams=1, max_tokens=30)
    assert found.ids == tuple(token for _, token in greedy)


def test_more_beams_can_find_what_greedy_decoding_misses():
    gains = []
    for seed in range(10):
        one, many = (
            beam_search(decoder, beams=beams, max_tokens=5)[0].score
            for beams in (1, 8)
            for decoder in [Decoder(tiny(seed, 2), [[0]])]
        )
        gains.append(many - one)
    assert max(gains) > 0.01
    assert min(gains) > -1e-9


def test_without_normalisation_the_shorter_would_have_won():
    """The winner by nats per token is longer than the likeliest of all."""
    longer = 0
    for seed in range(10):
        every = search_all(tiny(seed), [1], end=0)
        likeliest = max(every, key=lambda each: each[0] * len(each[1]))
        longer += len(every[0][1]) > len(likeliest[1])
    assert longer


def test_generate_writes_what_the_beams_find(runs):
    run = minillm.load_run(runs["clm"])
    options = {"beams": 4, "max_tokens": 12}
    text = generate(run, "The ships had learned to", **options)
    assert " find their way by listening".startswith(text[:20])
    two = generate(run, "The ships had learned to", n=2, **options)
    assert two[0] == text != two[1]
    assert generate(run, ["The ships had learned to"], **options) == [text]
    assert generate(run, "The ships had learned to", cached=False, **options) == text
    assert generate(run, "The", max_tokens=0, beams=2) == ""


def test_beams_end_before_a_stop_text(runs):
    text = generate(runs["clm"], "The ships had learned to", beams=3, stop=["way"])
    assert text == " find their "


@pytest.mark.parametrize("stop", [(), "\n", " ", "e", [" t", "灯"], "。"])
@pytest.mark.parametrize("beams", [6, 9])
def test_no_two_texts_are_alike(runs, stop, beams):
    """Several tokens end a text at the same place, and spell the same text."""
    run = minillm.load_run(runs["clm"])
    for prompt in ("The", "The ships had learned to", "灯"):
        options = {"beams": beams, "n": 6, "stop": stop, "max_tokens": 20}
        found = generate(run, prompt, **options)
        assert len(found) == len(set(found)) == 6
        assert found[0] == generate(run, prompt, **options | {"n": 1})


def test_fewer_texts_are_found_where_there_are_no_more(runs):
    run = minillm.load_run(runs["clm"])
    every = [run.tokenizer.decode([i]) for i in run.tokenizer.ordinary_ids]
    letters = sorted({text[0] for text in every if text})
    found = generate(run, "The", beams=6, n=6, max_tokens=1, stop=letters)
    assert found == [""]


def test_a_stop_text_does_not_make_a_search_read_all_again(runs, monkeypatch):
    """Each token is decoded as often, however long the text."""
    run = minillm.load_run(runs["clm"])
    decoded = []
    push = TextStream.push

    def counted(stream, token):
        decoded.append(token)
        return push(stream, token)

    monkeypatch.setattr(TextStream, "push", counted)
    counts = []
    for length in (20, 40, 80):
        decoded.clear()
        generate(run, "The", beams=3, stop="never there", max_tokens=length)
        counts.append(len(decoded))
    assert counts[2] <= 1.1 * 2 * counts[1] <= 1.1 * 1.1 * 4 * counts[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"beams": 0}, "beams must be at least 1, got 0"),
        ({"beams": 2, "n": 3}, "n must be"),
        ({"beams": 2, "n": 0}, "n must be"),
        ({"beams": 2, "max_tokens": -1}, "max_tokens"),
        ({"beams": 2, "top_k": 3}, "top_k"),
    ],
)
def test_settings_that_cannot_be_are_refused(runs, options, words):
    with pytest.raises(UsageError, match=words):
        generate(runs["clm"], "The", **options)
