"""Documents as sentences, and the passages that pairs are made of."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.errors import DataError
from minillm.text import Documents, Passages, passages, train_tokenizer
from minillm.text.documents import sentences

BYTES = train_tokenizer("bytes", "")
BPE = train_tokenizer("bpe", "Bee. A bee! (a 1) Bee.\n a. Bee\n" * 50, vocab_size=280)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("One. Two! Three?", ["One.", " Two!", " Three?"]),
        ("x = 1.5\ny = 2\n", ["x = 1.5", "\ny = 2\n"]),
        ("灯亮了。她读书。", ["灯亮了。", "她读书。"]),
        ('He said "go." Then he went.', ['He said "go."', " Then he went."]),
        ("no end", ["no end"]),
        ("What?!) No... Yes ?", ["What?!)", " No...", " Yes ?"]),
        ("a  \r\n b.c\r\n", ["a", "  \r\n b.c\r\n"]),
        ("", []),
    ],
)
def test_a_text_is_cut_after_its_sentences(text, cut):
    assert sentences(text) == cut


@pytest.mark.parametrize(
    "text",
    [
        *(f"Hi {mark * 200_000}a b. C." for mark in ".?!。！ \r\t\"')"),
        "?.!" * 60_000 + "a",
        "?" * 100_000 + ")" * 100_000 + "a",
        ".”" * 100_000 + "a",
        ("a" + " " * 1_000) * 200,
        "e.g. " * 40_000,
    ],
    ids=lambda text: ascii(text[:6]),
)
def test_a_run_of_marks_takes_no_more_than_its_length(text):
    """The square of it would be minutes."""
    began = time.perf_counter()
    assert "".join(sentences(text)) == text
    assert time.perf_counter() - began < 3


@given(st.text())
def test_the_sentences_joined_are_the_text(text):
    found = sentences(text)
    assert "".join(found) == text
    assert all(found)
    assert len(found) < 2 or not any(map(str.isspace, found[1:]))


@given(
    st.lists(
        st.sampled_from(
            [
                "a",
                "Bee",
                ".",
                "!",
                " ",
                "\n",
                "  ",
                "1",
                "(",
                '"',
                "\r\n",
                " \n  ",
                "\t",
            ]
        )
    )
)
def test_the_tokens_are_those_of_the_whole_text(words):
    text = "".join(words)
    np.testing.assert_array_equal(Documents.encode([text], BPE).ids, BPE.encode(text))


@given(st.lists(st.text("ab. \n", max_size=30), max_size=5))
def test_the_sentences_are_found_again_in_the_ids(texts):
    documents = Documents.encode(texts, BYTES)
    assert BYTES.decode(documents.ids) == "".join(texts)
    whole = [sentence for text in texts for sentence in sentences(text)]
    pieces = np.split(documents.ids, documents.starts[1:-1])
    assert [BYTES.decode(piece) for piece in pieces if piece.size] == whole


def test_a_passage_begins_wherever_another_sentence_follows():
    texts = ["A. B. C.", "D.", "E. F."]
    documents = Documents.encode(texts, BYTES)
    places = passages(documents, documents.openings())
    first = [
        BYTES.decode(p.documents.ids[p.documents.starts[p.first] :])[:1] for p in places
    ]
    assert first == ["A", " ", "E"]


def test_an_epoch_sees_every_passage_once():
    documents = Documents.encode(["A. B. C. D. E.", "F. G. H."], BYTES)
    examples = Passages(documents, seed=3)
    epoch = [examples.at(step, 2) for step in range(3)]
    first = [passage.first for step in epoch for passage in step]
    assert sorted(first) == documents.openings().tolist()
    assert first != sorted(first)


@pytest.mark.parametrize(
    "texts", [[], ["One. Two. Three."], ["One.", "Two."], ["One. Two.", "Three."]]
)
def test_texts_without_a_second_sentence_or_document_are_refused(texts):
    with pytest.raises(DataError, match="two documents of two"):
        Documents.encode(texts, BYTES).openings()


def test_a_text_from_elsewhere_is_never_of_the_same_document():
    texts = ["a. a. a. a.", "b. b.", "c.", "d. d. d."]
    documents = Documents.encode(texts, BYTES)
    places = passages(documents, documents.openings())
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        place = places[rng.integers(len(places))]
        a, b, label = place.pair(20, rng)
        letters = {BYTES.decode(x).strip()[0] for x in (a, b)}
        assert len(letters) == 1 + label
        seen |= {BYTES.decode(b)[:2]} if label else set()
    # Never how a document begins: no second text that follows does.
    assert seen == {" a", " b", " d"}


def test_no_length_tells_what_follows_from_what_is_from_elsewhere():
    rng = np.random.default_rng(0)
    texts = [
        " ".join("x" * rng.integers(1, 30) + "." for _ in range(rng.integers(40, 90)))
        for _ in range(30)
    ]
    documents = Documents.encode(texts, BYTES)
    openings = rng.choice(documents.openings(), 4_000)
    pairs = [place.pair(100, rng) for place in passages(documents, openings)]
    labels = np.array([label for *_, label in pairs])
    for lengths in (
        np.array([len(a) + len(b) for a, b, _ in pairs]),
        np.array([len(b) for _, b, _ in pairs]),
    ):
        best = max(
            np.mean((lengths >= limit) == labels) for limit in np.unique(lengths)
        )
        assert max(best, 1 - best) < 0.55
