"""Answering a source: what an encoder–decoder writes, and where it ends."""

import numpy as np
import pytest

from minillm.errors import UsageError
from minillm.generation import Decoder, beam_search, continuation, generate, stream
from minillm.generation.beams import log_softmax
from minillm.generation.continuation import usual_sampling
from minillm.generation.prompt import Opening, begin
from minillm.generation.prompt import unseen as unseen_part
from minillm.text import EOS

# Of different lengths: none, a usual one, one that is cut to the context of 8.
SOURCES = ["ab灯", "", "f", "灯海abcd", "海灯abcdabcdef", "cab"]
HOT = {"temperature": 5, "seed": 2}


def test_strings_it_has_not_seen_are_written_from_behind(reverser, unseen):
    assert len(unseen) > 200
    found = generate(reverser, unseen)
    right = [
        answer == source[::-1] for answer, source in zip(found, unseen, strict=True)
    ]
    assert np.mean(right) > 0.95


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 1.5, "n": 3, "seed": 4},
        {"n": 2, "top_k": 5, "top_p": 0.9, "min_p": 0.01, "repetition_penalty": 1.3},
        {"temperature": 5, "n": 2, "max_tokens": 4, "stop": ["灯", "ab"]},
        {"beams": 4, "n": 3},
    ],
    ids=str,
)
def test_a_batch_of_sources_gives_what_each_gives_alone(reverser, options):
    together = generate(reverser, SOURCES, **options)
    assert together == [generate(reverser, each, **options) for each in SOURCES]
    assert together == generate(reverser, SOURCES, cached=False, **options)
    assert len({str(each) for each in together}) > 3


def test_many_sources_are_answered_a_part_at_a_time(reverser, monkeypatch):
    options = {**HOT, "n": 2}
    together = generate(reverser, SOURCES, **options)
    sizes = []

    def counted(run, prompts, **settings):
        sizes.append(len(prompts))
        return begin(run, prompts, **settings)

    monkeypatch.setattr(continuation, "begin", counted)
    row = 4 * 2 * 8 * 32  # keys and values, of answer and source: two layers
    monkeypatch.setattr(continuation, "CACHED_NUMBERS", 9 * row)
    assert generate(reverser, SOURCES, **options) == together
    assert sizes == [4, 2]


@pytest.mark.parametrize("beams", [None, 1, 4])
def test_nothing_comes_after_the_end_and_no_special_token_before(reverser, beams):
    decoder, openings = begin(reverser, ["abc"])
    assert openings == [Opening()]
    assert np.isinf(decoder.logits()).sum() == 2  # [PAD] and [BOS]
    if beams:
        texts = [generate(reverser, each, beams=beams) for each in SOURCES]
    else:
        groups = generate(reverser, SOURCES, n=40, **HOT)
        texts = [text for group in groups for text in group]
    assert not any("[" in text for text in texts)
    assert all(len(text) <= 8 for text in texts)


def test_an_end_costs_no_room_and_the_context_bounds_an_answer(reverser):
    assert generate(reverser, "abc", max_tokens=10**6) == "cba"
    assert generate(reverser, "abc", max_tokens=3) == "cba"
    assert generate(reverser, "abc", max_tokens=2) == "cb"
    assert generate(reverser, "abc", max_tokens=0) == ""
    longest = max(generate(reverser, "abcdef", n=99, max_tokens=99, **HOT), key=len)
    assert len(longest) == 8


def test_an_answer_is_the_likeliest_unless_draws_are_asked_for(reverser):
    assert usual_sampling(reverser).temperature == 0
    assert usual_sampling(reverser, repetition_penalty=2.0).temperature == 0
    assert usual_sampling(reverser, 0.3, n=2).temperature == 0.3
    for draws in ({"n": 2}, {"top_k": 3}, {"top_p": 0.5}, {"min_p": 0.0}):
        assert usual_sampling(reverser, **draws).temperature == 0.8
    assert generate(reverser, "abc", seed=1) == generate(reverser, "abc", seed=2)
    assert len(set(generate(reverser, "abcdef", n=20, **HOT))) > 10


@pytest.mark.parametrize("options", [{}, HOT, {"stop": ["ba"]}, {"max_tokens": 2}])
def test_what_streams_is_what_is_generated(reverser, options):
    pieces = list(stream(reverser, "灯abcd", **options))
    assert "".join(pieces) == generate(reverser, "灯abcd", **options)
    assert sum(map(bool, pieces)) > 1


def test_beams_end_where_an_answer_ends(reverser):
    for source in ("abc", "灯海灯", "fedcba"):
        assert generate(reverser, source, beams=1) == source[::-1]
        three = generate(reverser, source, beams=4, n=3)
        assert three[0] == generate(reverser, source, beams=4) == source[::-1]
        assert len(set(three)) == 3
    assert generate(reverser, "abc", beams=3, stop="a") == "cb"


def test_the_end_counts_in_the_score_of_a_hypothesis(reverser):
    (decoder, _), end = begin(reverser, ["abc"]), reverser.tokenizer.specials[EOS]
    writer = decoder.model
    first, *_ = beam_search(
        decoder, beams=3, max_tokens=8, ended=lambda ids: ids[-1] == end
    )
    assert first.ids == (*reverser.tokenizer.encode("cba"), end)
    logits = writer(np.array([[*begin(reverser, ["abc"])[0].sequences[0], *first.ids]]))
    allowed = logits.numpy()[0]
    allowed[:, decoder.never] = -np.inf
    log_p = [row[i] for row, i in zip(log_softmax(allowed), first.ids, strict=False)]
    assert first.log_probability == pytest.approx(sum(log_p), abs=1e-4)
    assert first.score == pytest.approx(sum(log_p) / 4, abs=1e-4)


def test_what_is_never_written_is_no_hypothesis(model):
    decoder = Decoder(model, [[1, 2]], never=range(2, 30))
    found = beam_search(decoder, beams=9, max_tokens=2, n=9)
    assert sorted(each.ids for each in found) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_fewer_texts_are_found_where_there_are_no_more(reverser):
    one = generate(reverser, SOURCES, beams=99, n=99, max_tokens=1)
    n_letters = 8 + 2  # all others, and the end
    assert [len(texts) for texts in one] == [n_letters] * len(SOURCES)


def test_a_source_that_is_too_long_is_cut_at_its_end(reverser):
    assert generate(reverser, "abcdefa海灯") == generate(reverser, "abcdefa")
    assert unseen_part(reverser, "abcdefa") is None
    assert unseen_part(reverser, "abcdefab") == (
        "the model sees 8 tokens at once, and not the last 1 of this source"
    )


def test_no_sources_have_no_answers(reverser):
    assert generate(reverser, []) == []
    with pytest.raises(UsageError, match="half a character"):
        generate(reverser, ["\ud800"])
