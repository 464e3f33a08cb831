"""Text from tokens: no half characters, nothing from a stop text on."""

import numpy as np
import pytest

from minillm.errors import UsageError
from minillm.generation import TextStream
from minillm.text import EOS, PAD, train_tokenizer

TEXT = "在大海之前🙂的最后一座小岛上, the lamp was lit.\n灯塔。"
KINDS = ["bytes", "bpe", "chars"]


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request):
    # A vocabulary that merges a few bytes only leaves tokens within characters.
    size = {"bpe": 270}.get(request.param)
    return train_tokenizer(request.param, TEXT, vocab_size=size)


def pieces(tokenizer, ids, stop=()) -> list[str]:
    stream = TextStream(tokenizer, stop)
    return [*(stream.push(int(i)) for i in ids), stream.finish()]


def test_pieces_join_to_the_text_and_hold_whole_characters(tokenizer):
    ids = tokenizer.encode(TEXT)
    found = pieces(tokenizer, ids)
    assert "".join(found) == TEXT
    assert not any("\ufffd" in piece for piece in found)
    assert len(ids) == len(TEXT) if tokenizer.kind == "chars" else "" in found[:-1]


def test_a_text_cut_anywhere_shows_its_whole_characters_only(tokenizer):
    ids = tokenizer.encode(TEXT)
    for n in range(len(ids)):
        text = "".join(pieces(tokenizer, ids[:n]))
        assert "\ufffd" not in text
        assert TEXT.startswith(text)
        assert len(text) >= len(tokenizer.decode(ids[:n])) - 1


def test_bytes_that_are_no_character_are_shown_once_that_is_sure():
    tokenizer = train_tokenizer("bytes", "")
    broken = b"a\xe7\x81b\xff\xffc\xe7\x81\xaf\x80"
    assert pieces(tokenizer, broken) == [
        "a", "", "", "\ufffdb", "", "\ufffd", "\ufffdc", "", "", "灯", "", ""
    ]  # fmt: skip


def test_a_real_replacement_character_and_an_unknown_one_are_text():
    real = train_tokenizer("bytes", "")
    assert "".join(pieces(real, "a\ufffdb".encode())) == "a\ufffdb"
    chars = train_tokenizer("chars", "ab")
    assert pieces(chars, chars.encode("a灯")) == ["a", "\ufffd", ""]


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        (["lamp"], "在大海之前🙂的最后一座小岛上, the "),
        (["\n"], "在大海之前🙂的最后一座小岛上, the lamp was lit."),
        (["the lamb", "上, thx"], TEXT),
        (["前🙂", "🙂"], "在大海之"),
        (["在"], ""),
        (["lit", "was lit"], "在大海之前🙂的最后一座小岛上, the lamp "),
        (["灯塔。!"], TEXT),
    ],
)
def test_the_text_ends_before_a_stop_text(tokenizer, stop, expected):
    found = pieces(tokenizer, tokenizer.encode(TEXT), stop)
    assert "".join(found) == expected


def test_wordpiece_begins_a_word_or_goes_on_with_that_before():
    tokenizer = train_tokenizer("wordpiece", "lamp lit\ufffd " * 2, vocab_size=40)
    ids = tokenizer.encode("lamp lit\ufffd").tolist()
    assert pieces(tokenizer, ids) == ["lamp", " lit\ufffd", ""]
    stream = TextStream(tokenizer, after=tokenizer.encode("la").tolist())
    assert [stream.push(i) for i in ids] == [" lamp", " lit\ufffd"]
    first, *others = tokenizer.encode("ta mt").tolist()
    stream = TextStream(tokenizer, after=np.array([first]))
    assert [stream.push(i) for i in others] == ["a", " m", "t"]


def test_white_space_that_is_owed_stands_there_already():
    bpe = train_tokenizer("bpe", "a lamp 灯 " * 99, vocab_size=300)
    stream = TextStream(bpe, owed=" ")
    ids = bpe.encode(" lamp 灯").tolist()
    assert "".join([*map(stream.push, ids), stream.finish()]) == "lamp 灯"
    assert stream.n_tokens == len(ids)
    for text in ("  ", " "):
        stream = TextStream(bpe, owed=" ")
        tokens = [i for each in text for i in bpe.encode(each)]
        assert "".join(map(stream.push, tokens)) == text[1:]
        assert stream.n_tokens == len(tokens) - 1
    # " " and the first byte of a character in one token
    stream = TextStream(train_tokenizer("bytes", ""), owed=" ")
    assert [stream.push(i) for i in " 灯".encode()] == ["", "", "", "灯"]


def test_a_branch_goes_its_own_way():
    stream = TextStream(train_tokenizer("bytes", ""), "xy")
    assert [stream.push(i) for i in [*b"x", *"灯".encode()[:2]]] == ["", "", ""]
    one, other = stream.branch(), stream.branch()
    assert one.push("灯".encode()[2]) == "x灯"
    assert other.push(ord("y")) == "x\ufffdy"
    assert stream.push("灯".encode()[2]) == "x灯"


def test_a_stop_text_is_found_as_wordpiece_spells_it():
    tokenizer = train_tokenizer("wordpiece", "is it lit? lamp: " * 2, vocab_size=40)
    ids = tokenizer.encode("is it lit? lamp: lit")
    for stop, expected in [
        ("it?\n  lamp:", "is it l"),
        (["\nlamp: ", "is"], ""),
        (":lit", "is it lit ? lamp "),
        ("lit:", "is it lit ? lamp : lit"),
    ]:
        assert "".join(pieces(tokenizer, ids, stop)) == expected
    for stop in ("", " ", "\n"):
        with pytest.raises(UsageError, match=r"empty \(wordpiece"):
            TextStream(tokenizer, stop)


def test_a_text_ends_at_its_end_token():
    tokenizer = train_tokenizer("bytes", "", specials=(PAD, EOS))
    end = tokenizer.specials[EOS]
    assert pieces(tokenizer, [*b"ab", end, *b"c", end], "bx") == ["a", "", "b"] + 3 * [
        ""
    ]
    assert pieces(tokenizer, [*"灯".encode()[:2], end]) == ["", "", "", ""]


def test_what_may_begin_a_stop_text_waits():
    tokenizer = train_tokenizer("bytes", "")
    assert pieces(tokenizer, b"aabaac", ["aac"]) == ["", "", "aab", "", "", "", ""]
    assert pieces(tokenizer, b"xab", "abc") == ["x", "", "", "ab"]


def test_nothing_comes_after_the_end():
    stream = TextStream(train_tokenizer("bytes", ""), ["b"])
    assert [stream.push(i) for i in b"abc"] == ["a", "", ""]
    assert stream.ended
    assert stream.finish() == ""
