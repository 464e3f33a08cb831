"""Filling gaps: candidates, their probabilities, what cannot be filled."""

import numpy as np
import pytest

import minillm
from minillm.errors import UsageError
from minillm.generation import fill
from minillm.generation.gaps import encode_with_gaps
from minillm.training.loop import train


@pytest.fixture(scope="module")
def masked(runs):
    return minillm.load_run(runs["mlm"])


@pytest.fixture(scope="module")
def cycle(tmp_path_factory):
    """A masked model that has seen one text only: 灯塔的书abc, again and again."""
    folder = tmp_path_factory.mktemp("cycle")
    data = folder / "cycle.txt"
    data.write_text("灯塔的书abc" * 1_500, encoding="utf-8")
    options = {"size": "pico", "device": "cpu", "workers": "1", "lr": 0.03}
    shape = {"context": 16, "width": 32, "batch": 32, "steps": 120}
    out = str(folder / "run")
    train(
        **options, **shape, data=str(data), tokenizer="chars", objective="mlm", out=out
    )
    return out


def test_what_was_seen_on_both_sides_is_filled_in(cycle):
    for text, answers in [
        ("塔的书a[MASK]c灯塔的书abc灯塔", "b"),
        ("[MASK]书abc灯塔的书abc灯塔的", "的"),
        ("abc灯塔[MASK]书abc灯[MASK]的书a", "的塔"),
    ]:
        gaps = fill(cycle, text, top=2)
        assert "".join(gap[0].text for gap in gaps) == answers
        assert all(gap[0].probability > 0.8 for gap in gaps)


def test_probabilities_are_those_of_the_model(masked):
    text = "The [MASK] was far, 灯[MASK]。"
    ids = encode_with_gaps(masked, text)
    mask = masked.tokenizer.specials["[MASK]"]
    logits = masked.model(ids[None]).numpy()[0].astype(float)
    places = np.flatnonzero(ids == mask)
    for gap, place in zip(fill(masked, text, top=7), places, strict=True):
        p = np.exp(logits[place]) / np.exp(logits[place]).sum()
        p[mask] = -1  # no candidate
        assert [each.id for each in gap] == np.argsort(-p)[:7].tolist()
        np.testing.assert_allclose(
            [each.probability for each in gap], np.sort(p)[:-8:-1], rtol=1e-5
        )


def test_every_token_but_the_specials_can_be_a_candidate(masked):
    ((*every,),) = fill(masked, "[MASK]", top=10**6)
    assert len(every) == masked.tokenizer.vocab_size - 1
    assert 0.9 < sum(each.probability for each in every) < 1


def test_a_gap_takes_the_place_of_a_word_with_its_space(masked):
    mask = masked.tokenizer.specials["[MASK]"]
    word = masked.tokenizer.encode("The sea was")
    at = masked.tokenizer.encode("The").size
    end = masked.tokenizer.encode("The sea").size
    expected = [*word[:at], mask, *word[end:]]
    assert encode_with_gaps(masked, "The [MASK] was").tolist() == expected


@pytest.mark.parametrize(
    ("objective", "text", "top", "words"),
    [
        ("clm", "The [MASK]", 5, "causal model"),
        ("mlm", "The end", 5, "no gap"),
        ("mlm", "", 5, "no gap"),
        ("mlm", "x" * 400 + "[MASK]", 5, "sees 32 at once"),
        ("mlm", "[MASK]", 0, "top must be"),
    ],
)
def test_what_cannot_be_filled_is_said(runs, objective, text, top, words):
    with pytest.raises(UsageError, match=words):
        fill(runs[objective], text, top=top)
