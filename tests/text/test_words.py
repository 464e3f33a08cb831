"""A table of words gives the ids that the library gives, on whatever text."""

import sys
import unicodedata

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from minillm.text import train_tokenizer
from minillm.text.tokenizer import words as room
from minillm.text.tokenizer.words import WORD, Words, splits_by_words

ENGLISH = (
    "It's said that the keeper hadn't lit the lamp; they'll say we've lost 12,345 "
    "ships. I'd go, if you're there, 'tis so, isn'T it? _under_score __init__(self)\n"
    "\n  two spaces,\ttabs\t\tand  more \r\nCRLF \r\n\r\n  indented:\n\n\n   x = [1]\n"
)
OTHERS = (
    "Der Wächter saß im Öl. Смотритель зажёг лампу, 灯塔亮着，海很黑。 العَرَبِيَّة ١٢٣ "
    "हिन्दी में १२ é e\u0301 👩\u200d🚀🇨🇭 ☕️ №\xa0nbsp\u3000wide\u2028line\x85next "
)


@pytest.fixture(scope="module")
def assigned() -> list[str]:
    """Every character there is; of letters without case (CJK, Hangul) and of private
    use, one in many."""
    found = []
    for c in map(chr, range(sys.maxunicode + 1)):
        kind = unicodedata.category(c)
        if kind not in ("Cn", "Cs") and (kind not in ("Lo", "Co") or ord(c) % 23 == 0):
            found.append(c)
    return found


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer("bpe", (ENGLISH + OTHERS) * 5, vocab_size=400)


@pytest.fixture(autouse=True)
def one_core(monkeypatch):
    """With many, the library has all the work."""
    monkeypatch.setattr(room, "_cores", lambda: 1)


def by_library(tokenizer, text):
    return tokenizer._library.encode(text, add_special_tokens=False).ids


def by_table(tokenizer, text, monkeypatch, at_least=1):
    """The ids, and that the table gave at least some of them."""
    given = []

    class Watched(Words):
        def encode(self, text):
            ids = super().encode(text)
            given.append(ids is not None)
            return ids

    monkeypatch.setattr("minillm.text.tokenizer.bpe.Words", Watched)
    ids = tokenizer.encode(text).tolist()
    assert sum(given) >= at_least
    return ids


@pytest.mark.parametrize("kept", [room.MOST, 20])
def test_a_long_text_in_many_scripts(tokenizer, monkeypatch, kept):
    monkeypatch.setattr(room, "MOST", kept)
    rng = np.random.default_rng(0)
    parts = [
        *ENGLISH.split(" "),
        *OTHERS.split(" "),
        "\n",
        " ",
        "\r\n",
        "'",
        "'ll",
        "_",
    ]
    text = "".join(
        f"{parts[i]}{' ' * (i % 3)}" for i in rng.integers(0, len(parts), 40_000)
    )
    ids = by_table(tokenizer, text, monkeypatch, at_least=3)
    assert ids == by_library(tokenizer, text)


@pytest.mark.parametrize("one_in", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_every_character_of_every_plane(tokenizer, assigned, one_in, monkeypatch):
    """Also those whose class is another in Python: the library has them."""
    monkeypatch.setattr(room, "WORTH", 0)
    monkeypatch.setattr(room, "ONE_IN", 0)
    words = Words(tokenizer._library)
    n_by_table = 0
    assigned = assigned[::one_in]
    at_once = max(10, 100 // one_in)  # of few: one odd character sends all away
    for start in range(0, len(assigned), at_once):
        some = assigned[start : start + at_once]
        text = "".join(f"a{c}1{c} {c}!{c}  {c}\n{c}'s" for c in some)
        ids = words.encode(text)
        if ids is not None:
            n_by_table += len(some)
            assert ids.tolist() == by_library(tokenizer, text)
    assert n_by_table > 0.8 * len(assigned)


def test_the_tables_of_unicode_agree_but_for_what_is_known(tokenizer, assigned):
    """Python's classes and the library's, over all of Unicode."""
    words = Words(tokenizer._library)
    words._are_odd("".join(assigned))
    numbers = {c for c in assigned if unicodedata.category(c) in ("Nl", "No")}
    assert {*words.odd} == numbers | {*"\x1c\x1d\x1e\x1f"}


@pytest.mark.parametrize("odd", ["½", "Ⅷ", "²", "\x1c", "\x1f"])
def test_a_character_of_another_class_goes_to_the_library(tokenizer, odd):
    words = Words(tokenizer._library)
    text = ENGLISH * 200
    assert words.encode(text) is not None
    assert words.encode(f"{text} x{odd} {odd}y 1{odd}") is None
    assert words.odd == [odd]
    assert words.encode(text) is not None
    whole = f"{text} x{odd} {odd}y 1{odd} {text}"
    assert tokenizer.encode(whole).tolist() == by_library(tokenizer, whole)


def test_a_version_of_unicode_that_knows_more_is_noticed(tokenizer, monkeypatch):
    """As if this Python did not know Greek letters yet."""
    monkeypatch.setattr(
        room,
        "CLASSES",
        [(room.re.compile("[α-ω]"), "!"), *room.CLASSES],
    )
    words = Words(tokenizer._library)
    assert words.encode(ENGLISH * 200 + "λ") is None
    assert words.odd == ["λ"]


@given(
    st.lists(
        st.sampled_from(
            [*" \t\n\r\x0b\x85\xa0\u3000'_ab19.,!é字🙂½\x1c", "'s", "'re", "\r\n", "'S"]
        ),
        max_size=60,
    )
)
def test_short_pieces_of_all_kinds(tokenizer, pieces):
    text = "".join(pieces)
    found = tokenizer._library.pre_tokenizer.pre_tokenize_str(text)
    words = Words(tokenizer._library)
    if not words._are_odd(text):
        ends = [end for _, (_, end) in found]
        assert np.cumsum([len(w) for w in WORD.findall(text)]).tolist() == ends


def test_the_table_stays_small(tokenizer, monkeypatch):
    monkeypatch.setattr(room, "MOST", 500)
    words = Words(tokenizer._library)
    for start in range(0, 8_000, 2_000):
        text = "".join(f" w{i}x" * 9 for i in range(start, start + 2_000))
        assert words.encode(text).tolist() == by_library(tokenizer, text)
        assert len(words.ids) <= room.MOST
    assert words.encode(f"{'a' * room.LONGEST} {'b' * 9_000} c d e " * 9) is not None
    assert max(map(len, words.ids)) == room.LONGEST


def test_words_that_never_come_again_are_left_to_the_library(tokenizer):
    text = "".join(chr(0x4E00 + i * 7919 % 20_000) * 3 + "，" for i in range(20_000))
    words = Words(tokenizer._library)
    assert words.encode(text) is None
    assert words.ids == {}
    english = ENGLISH * 200  # which follows, after a while
    found = [words.encode(english) is not None for _ in range(room.NEXT + 1)]
    assert found == [*[False] * room.NEXT, True]
    assert tokenizer.encode(text).tolist() == by_library(tokenizer, text)


def other(change):
    library = tokenizers.Tokenizer(tokenizers.models.BPE())
    library.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    change(library)
    return library


def test_only_what_is_split_by_our_pattern_has_a_table(monkeypatch):
    byte_level = tokenizers.pre_tokenizers.ByteLevel
    split = tokenizers.pre_tokenizers.Split(" ", "isolated")

    def assign(**parts):
        return lambda library: [setattr(library, k, v) for k, v in parts.items()]

    def dropout(library):
        library.model = tokenizers.models.BPE(dropout=0.1)

    assert splits_by_words(other(lambda library: None))
    assert splits_by_words(other(lambda library: library.add_special_tokens(["[X]"])))
    for change in (
        assign(pre_tokenizer=byte_level(add_prefix_space=True)),
        assign(pre_tokenizer=byte_level(add_prefix_space=False, use_regex=False)),
        assign(
            pre_tokenizer=tokenizers.pre_tokenizers.Sequence(
                [split, byte_level(add_prefix_space=False)]
            )
        ),
        assign(pre_tokenizer=split),
        assign(normalizer=tokenizers.normalizers.NFC()),
        lambda library: library.add_tokens(["lamp"]),
        dropout,
    ):
        assert not splits_by_words(other(change))
    monkeypatch.setattr(room, "_cores", lambda: room.MANY_CORES)
    assert not splits_by_words(other(lambda library: None))


def test_names_of_special_tokens_are_text(monkeypatch):
    tokenizer = train_tokenizer(
        "bpe", ENGLISH * 5, vocab_size=300, specials=["[MASK]", "[PAD]"]
    )
    text = (ENGLISH + " [MASK] [PAD]") * 200
    ids = by_table(tokenizer, text, monkeypatch)
    assert ids == by_library(tokenizer, text)
    assert not {*ids} & {*tokenizer.specials.values()}


def test_texts_of_many_lengths_come_in_their_order(tokenizer):
    texts = [ENGLISH * 300, "short", OTHERS + "½", "", ENGLISH * 250 + "½", ENGLISH]
    found = [ids.tolist() for ids in tokenizer.encode_all(texts * 3)]
    assert found == [by_library(tokenizer, text) for text in texts * 3]
