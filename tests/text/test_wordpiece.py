"""WordPiece: what a word becomes, what is unknown, which pieces are learned."""

import json

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.errors import DataError
from minillm.text.tokenizer import load_tokenizer, train_tokenizer

ENGLISH = "The keeper reads, and the reader keeps the lamp: 3.5 metres, naïve café!\n"
CHINESE = "守塔人念着书，书也念着守塔人。灯塔里装满了书。\n"
EMOJI = "🗼🙂 🙂🤣\n"
TEXT = (ENGLISH + CHINESE + EMOJI) * 20


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer("wordpiece", TEXT, vocab_size=200)


def words(tokenizer, text):
    """The tokens of a text, those of each word joined by `|`."""
    tokens = [tokenizer.decode([i]) for i in tokenizer.encode(text)]
    return " ".join(tokens).replace(" ##", "|").split()


def bare(text):
    """A text without its white space."""
    return "".join(text.split())


@given(st.text(st.sampled_from(sorted(set(TEXT))), max_size=60))
@settings(max_examples=200, deadline=None)
def test_a_text_over_the_alphabet_comes_back_up_to_white_space(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.specials["[UNK]"] not in ids
    assert bare(tokenizer.decode(ids)) == bare(text)


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_but_its_unknown_words_comes_back(tokenizer, text):
    decoded = tokenizer.decode(tokenizer.encode(text))
    known = "".join(decoded.split("[UNK]"))
    rest = iter(bare(text))
    assert all(character in rest for character in bare(known))  # in this order


def test_a_word_with_an_unknown_character_is_unknown(tokenizer):
    assert words(tokenizer, "the Ωreader") == ["the", "[UNK]"]
    assert words(tokenizer, "书鼠书") == ["书", "[UNK]", "书"]
    assert words(tokenizer, "the 🚀 the") == ["the", "[UNK]", "the"]


def test_nothing_is_dropped_unseen(tokenizer):
    # BERT would clear the first away, and does not know of the second.
    for character in "\0🫠":
        assert words(tokenizer, f"the {character} the") == ["the", "[UNK]", "the"]


def test_decoding_joins_no_words_that_stood_apart():
    # The library's decoder can tidy English up: "do not" would come back as "don't".
    text = "we do not go , do we ?"
    tokenizer = train_tokenizer("wordpiece", text)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_very_long_word_is_unknown(tokenizer):
    assert len(tokenizer.encode("t" * 100)) > 1
    assert words(tokenizer, "t" * 101) == ["[UNK]"]


def test_case_and_accents_are_kept(tokenizer):
    ids = [tokenizer.encode(text).tolist() for text in ("The", "the", "café", "cafe")]
    assert len({tuple(each) for each in ids}) == 4


def test_chinese_characters_are_words(tokenizer):
    assert words(tokenizer, "灯塔the书") == ["灯", "塔", "the", "书"]


def test_emoji_alone_come_back(tokenizer):
    assert bare(tokenizer.decode(tokenizer.encode("🤣🗼🙂"))) == "🤣🗼🙂"


def test_white_space_alone_has_no_tokens(tokenizer):
    assert tokenizer.encode(" \t\n\u3000 ").shape == (0,)


def test_frequent_words_are_one_token_and_others_longest_pieces_first(tokenizer):
    assert words(tokenizer, "the lamp") == ["the", "lamp"]
    vocabulary = {tokenizer.decode([i]) for i in tokenizer.ordinary_ids}
    for word in ("keepers", "metrelamp", "naïvereads"):
        (found,) = words(tokenizer, word)
        first, *others = found.split("|")
        pieces = [first, *("##" + other for other in others)]
        at = 0
        for piece in pieces:
            start = "##" if at else ""
            longest = max(
                (start + word[at:end] for end in range(at + 1, len(word) + 1)),
                key=lambda piece: (piece in vocabulary, len(piece)),
            )
            assert piece == longest
            at += len(piece) - len(start)


@given(st.text(st.sampled_from(sorted({*TEXT, "Ω"})), max_size=60))
@settings(max_examples=50, deadline=None)
def test_the_library_reads_the_file_and_gives_the_same_ids(
    tokenizer, tmp_path_factory, text
):
    path = tmp_path_factory.getbasetemp() / "wordpiece.json"
    tokenizer.save(path)
    library = tokenizers.Tokenizer.from_file(str(path))
    np.testing.assert_array_equal(tokenizer.encode(text), library.encode(text).ids)


# Vocabularies


def test_the_specials_come_first_and_unknown_after_those_that_were_asked_for():
    specials = train_tokenizer("wordpiece", TEXT, specials=("[PAD]", "[CLS]")).specials
    assert specials == {"[PAD]": 0, "[CLS]": 1, "[UNK]": 2}
    specials = train_tokenizer("wordpiece", TEXT, specials=("[UNK]", "[PAD]")).specials
    assert specials == {"[UNK]": 0, "[PAD]": 1}


def test_it_has_the_vocabulary_that_was_asked_for():
    varied = "".join(f"word{i * i} number{i // 3} " for i in range(5_000))
    assert train_tokenizer("wordpiece", varied, vocab_size=600).vocab_size == 600
    assert train_tokenizer("wordpiece", varied).vocab_size == 1_024


def test_it_learns_as_many_pieces_as_occur_twice():
    tokenizer = train_tokenizer("wordpiece", "hello world")
    # [UNK]; d e h l o r w, which begin words or continue them.
    assert tokenizer.vocab_size == 1 + 2 * 7
    assert tokenizer.decode(tokenizer.encode("hold")) == "hold"


def test_a_rare_character_is_not_in_the_alphabet():
    text = "ab " * 50_000
    unknown = train_tokenizer("wordpiece", text + "c").encode("c")
    assert train_tokenizer("wordpiece", text).decode(unknown) == "[UNK]"
    known = train_tokenizer("wordpiece", text + "cc")
    assert known.decode(known.encode("c")) == "c"


def test_of_a_large_alphabet_the_frequent_characters_stay():
    text = "灯灯灯塔塔书馆" + "aa"
    tokenizer = train_tokenizer("wordpiece", text, vocab_size=5)
    # a, which has two tokens, is as frequent as 塔, and of a lower code point.
    assert words(tokenizer, "灯塔书a") == ["灯", "塔", "[UNK]", "a"]


def test_a_text_of_white_space_leaves_all_unknown():
    for text in ("", " \n"):
        tokenizer = train_tokenizer("wordpiece", text)
        assert tokenizer.vocab_size == 1
        assert words(tokenizer, "the lamp") == ["[UNK]", "[UNK]"]


def test_equally_frequent_pairs_are_merged_in_one_order():
    # Each pair of letters is as frequent as any other.
    letters = "abcdefghijklmnopqrstuvwxyz"
    text = 2 * "".join(f"{letters[i : i + 3]} " for i in range(24))
    hashes = {
        train_tokenizer("wordpiece", text, vocab_size=70).sha256 for _ in range(10)
    }
    assert len(hashes) == 1


# tokenizer.json


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file["model"].update(unk_token="[MISSING]"),
        lambda file: file["model"].update(unk_token="the"),
        lambda file: file["model"].update(unk_token=None),
        lambda file: file["model"].pop("unk_token"),
        lambda file: file["model"].update(vocab=[]),
        lambda file: file["model"]["vocab"].update(the=5_000),
        lambda file: file["model"]["vocab"].pop("the"),
        lambda file: file["model"]["vocab"].update(the=-1),
        lambda file: file["model"]["vocab"].update(the=3),
        lambda file: file.update(added_tokens=[]),
        lambda file: file.update(normalizer={"type": "Unheard"}),
    ],
)
def test_a_damaged_file_is_refused(tokenizer, damage, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    file = json.loads(path.read_text(encoding="utf-8"))
    damage(file)
    path.write_text(json.dumps(file), encoding="utf-8")
    with pytest.raises(DataError, match=r"tokenizer\.json: not a tokenizer"):
        load_tokenizer(path)
