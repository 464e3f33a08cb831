"""Filling gaps: candidates, their probabilities, what cannot be filled."""

import numpy as np
import pytest

import minillm
from minillm.errors import UsageError
from minillm.generation import fill
from minillm.generation.fill import encode_with_gaps
from minillm.runs.train import train


@pytest.fixture(scope="module", params=["mlm", "mlm+nsp"])
def masked(runs, request):
    return minillm.load_run(runs[request.param])


@pytest.fixture(
    scope="module", params=["encoder", pytest.param("bert", marks=pytest.mark.slow)]
)
def cycle(request, tmp_path_factory):
    """A masked model that has seen one text only: 灯塔的书abc, again and again."""
    folder = tmp_path_factory.mktemp("cycle")
    data = folder / "cycle.txt"
    data.write_text("灯塔的书abc" * 1_500, encoding="utf-8")
    options = {"size": "pico", "device": "cpu", "workers": "1", "lr": 0.005}
    shape = {"context": 18, "width": 32, "batch": 32, "arch": request.param}
    out = str(folder / "run")
    kind = {"objective": "mlm", "tokenizer": "chars", "steps": 200}
    train(**options, **shape, **kind, data=str(data), out=out, draw=False)
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
    specials = masked.tokenizer.specials
    mask = specials["[MASK]"]
    logits = masked.model(ids[None]).numpy()[0].astype(float)
    places = np.flatnonzero(ids == mask)
    for gap, place in zip(fill(masked, text, top=7), places, strict=True):
        p = np.exp(logits[place]) / np.exp(logits[place]).sum()
        p[list(specials.values())] = -1  # no candidates
        assert [each.id for each in gap] == np.argsort(-p)[:7].tolist()
        np.testing.assert_allclose(
            [each.probability for each in gap], np.sort(p)[:-8:-1], rtol=1e-5
        )


def test_every_token_but_the_specials_can_be_a_candidate(masked):
    ((*every,),) = fill(masked, "[MASK]", top=10**6)
    assert len(every) == len(masked.tokenizer.ordinary_ids)
    assert 0.9 < sum(each.probability for each in every) < 1


def test_a_gap_takes_the_place_of_a_word_with_its_space(masked):
    specials = masked.tokenizer.specials
    word = masked.tokenizer.encode("The sea was")
    at = masked.tokenizer.encode("The").size
    end = masked.tokenizer.encode("The sea").size
    expected = [*word[:at], specials["[MASK]"], *word[end:]]
    if masked.config.arch == "bert":
        expected = [specials["[CLS]"], *expected, specials["[SEP]"]]
    assert encode_with_gaps(masked, "The [MASK] was").tolist() == expected


def test_a_frame_takes_its_room(runs):
    for objective, room in [("mlm", 32), ("mlm+nsp", 30)]:
        fill(runs[objective], "[MASK]" * room)
        with pytest.raises(UsageError, match="33 tokens, and the model sees 32 at"):
            fill(runs[objective], "[MASK]" * (room + 1))


@pytest.mark.slow
def test_bert_fills_gaps_between_word_pieces(tmp_path):
    data = tmp_path / "cycle.txt"
    data.write_text("The lamp was lit. " * 1_000, encoding="utf-8")
    options = {"size": "pico", "device": "cpu", "workers": "1", "lr": 0.005}
    shape = {"context": 18, "width": 32, "batch": 32, "steps": 200, "arch": "bert"}
    kind = {"objective": "mlm", "tokenizer": "wordpiece", "vocab": 40}
    out = str(tmp_path / "run")
    train(**options, **shape, **kind, data=str(data), out=out, draw=False)
    text = "was lit. The [MASK] was lit. The lamp was [MASK]. The lamp"
    (first,), (second,) = fill(out, text, top=1)
    assert (first.text, second.text) == ("lamp", "lit")


@pytest.mark.parametrize(
    ("objective", "text", "top", "words"),
    [
        ("mlm", "The end", 5, "no gap"),
        ("mlm", "", 5, "no gap"),
        ("mlm", "x" * 400 + "[MASK]", 5, "sees 32 at once"),
        ("mlm", "[MASK]", 0, "top must be"),
    ],
)
def test_what_cannot_be_filled_is_said(runs, objective, text, top, words):
    with pytest.raises(UsageError, match=words):
        fill(runs[objective], text, top=top)
