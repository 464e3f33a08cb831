"""Encoding a text that comes in pieces, and the names of special tokens in a text."""

import itertools
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.errors import UsageError
from minillm.text import load_tokenizer, train_tokenizer
from minillm.text.tokenizer.allowed import PATTERNS
from minillm.text.tokenizer.chunks import rejoined

TEXT = (
    "The keeper's book isn't read: 12,345 words!\n\n  for x_1 in the_book:\n\tread(x)\n"
    "守塔人念着书，书也念着守塔人。Ende\r\n"
) * 40
KINDS = ["bpe", "wordpiece", "bytes", "chars"]
# Of elsewhere: how words are parted, and what is done to the text first.
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
BYTES["use_regex"] = False
FOREIGN = {
    f"pattern {i}": {
        "type": "Sequence",
        "pretokenizers": [
            {
                "type": "Split",
                "pattern": {"Regex": pattern},
                "behavior": "Isolated",
                "invert": False,
            },
            BYTES,
        ],
    }
    for i, pattern in enumerate(PATTERNS)
}
FOREIGN |= {
    "a space before all": {**BYTES, "add_prefix_space": True, "use_regex": True},
    "no words": BYTES,
    "white space": {
        "type": "Sequence",
        "pretokenizers": [{"type": "WhitespaceSplit"}, BYTES],
    },
    "words": {"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, BYTES]},
}


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizers")
    found = {kind: train_tokenizer(kind, TEXT, vocab_size=400) for kind in KINDS}
    found["bpe"].save(folder / "bpe.json")
    file = json.loads((folder / "bpe.json").read_text("utf-8"))
    vocab, merges = file["model"]["vocab"], file["model"]["merges"]
    for pair in (("x", "_"), ("x", "."), ("x", "Ġ")):  # what only some keep together
        vocab["".join(pair)] = len(vocab)
        merges.append([*pair])
    for name, words in FOREIGN.items():
        (folder / "x.json").write_text(json.dumps({**file, "pre_tokenizer": words}))
        found[name] = load_tokenizer(folder / "x.json")
    strip = {"type": "Strip", "strip_left": True, "strip_right": True}
    for name, normalizer in (("stripped", strip), ("composed", {"type": "NFC"})):
        (folder / "x.json").write_text(json.dumps({**file, "normalizer": normalizer}))
        found[name] = load_tokenizer(folder / "x.json")
    return found


WORDS = st.text() | st.text(st.sampled_from("xb1 \n\t.,'_!书。é\u0301"))
WORDS |= st.just(TEXT[:1000])


@pytest.mark.parametrize("name", [*KINDS, *FOREIGN, "stripped", "composed"])
@given(data=st.data(), text=WORDS)
@settings(max_examples=60, deadline=None)
def test_wherever_a_text_is_cut_its_ids_are_those_of_the_whole(
    tokenizers, name, data, text
):
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=12).map(sorted))
    ends = itertools.pairwise([0, *places, len(text)])
    pieces = data.draw(st.sampled_from([[text[a:b] for a, b in ends], [*text]]))
    found = list(tokenizers[name].encode_stream(pieces))
    assert found == tokenizers[name].encode(text).tolist()


def test_it_asks_for_no_more_pieces_than_it_must(tokenizers):
    asked = []

    def endless():
        for i in itertools.count():
            asked.append(i)
            yield "the keeper "

    stream = tokenizers["bpe"].encode_stream(endless())
    assert len(list(itertools.islice(stream, 1000))) == 1000
    assert len(asked) < 2000


@pytest.mark.parametrize("kind", KINDS)
def test_its_memory_does_not_grow_with_the_text(tokenizers, kind):
    def peak(n: int) -> int:
        tracemalloc.start()
        try:
            stream = tokenizers[kind].encode_stream(
                "the keeper reads" for _ in range(n)
            )
            assert sum(1 for _ in stream) > n
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    assert peak(10_000) < 2 * peak(1_000)


def test_a_long_word_in_small_pieces_takes_no_more_time_for_each():
    assert "".join(rejoined(["a"] * 200_000)) == "a" * 200_000


def test_half_a_character_is_refused_in_a_stream_too(tokenizers):
    with pytest.raises(UsageError, match=r"\\udcff"):
        list(tokenizers["bpe"].encode_stream(["a", "\udcff b"]))


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_special_tokens_are_tokens_where_that_is_asked(kind):
    tokenizer = train_tokenizer(kind, TEXT, vocab_size=400, specials=["[A]", "[A][B]"])
    a, b = (tokenizer.specials[name] for name in ("[A]", "[A][B]"))
    text = "[A]The book[A][B][A] isn't"
    parts = [tokenizer.encode(part).tolist() for part in ("The book", " isn't")]
    found = tokenizer.encode(text, specials=True)
    assert found.dtype == np.int32
    assert found.tolist() == [a, *parts[0], b, a, *parts[1]]
    assert not {a, b} & {*tokenizer.encode(text).tolist()}
    assert tokenizer.encode("", specials=True).tolist() == []
    plain = tokenizer.encode(TEXT, specials=True)
    np.testing.assert_array_equal(plain, tokenizer.encode(TEXT))


def test_without_special_tokens_there_are_no_names(tokenizers):
    for tokenizer in tokenizers.values():
        plain = tokenizer.encode("a [A]", specials=True)
        np.testing.assert_array_equal(plain, tokenizer.encode("a [A]"))
