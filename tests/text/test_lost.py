"""Characters that no token stands for: counted, named, told."""

import pytest
import tokenizers

from minillm.text.tokenizer import train_tokenizer
from minillm.text.tokenizer.base import NOTHING, Lost
from minillm.text.tokenizer.wordpiece import WordPieceTokenizer


@pytest.mark.parametrize(
    ("kind", "texts", "lost"),
    [
        ("chars", ["ab 灯", "塔a"], Lost(2, 6, "灯塔")),
        ("chars", ["ab ba"], Lost(0, 5)),
        ("chars", ["灯灯灯"], Lost(3, 3, "灯")),
        ("chars", [], NOTHING),
        # a word with an unknown character is unknown as a whole, white space no word
        ("wordpiece", ["ab aΩb", " \n塔"], Lost(4, 6, "Ω塔")),
        ("wordpiece", ["ab a灯b"], Lost(1, 5, "灯")),
        ("wordpiece", ["ab\tba"], Lost(0, 5)),
        ("wordpiece", ["a" * 101 + " ab"], Lost(101, 103)),
        ("bpe", ["ab 灯"], Lost(0, 4)),
        ("bytes", ["ab 灯"], Lost(0, 4)),
    ],
)
@pytest.mark.parametrize("known", [False, True])
def test_what_is_lost_of_a_text(kind, texts, lost, known):
    options = {"vocab_size": 300} if kind == "bpe" else {}
    tokenizer = train_tokenizer(kind, "ab ba bab abba\n" * 30, **options)
    ids = tokenizer.encode_all(texts) if known else None
    found = tokenizer.lost(texts, ids)
    assert (found.n, found.characters) == (lost.n, lost.characters)
    assert found.share == pytest.approx(lost.share)


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        (NOTHING, None),
        (Lost(0, 9), None),
        (Lost(1, 8, "灯"), "no token for 12.5% of the characters of a.txt ('灯'): "),
        (Lost(1, 9999, "灯"), "for less than 0.1% of the characters of a.txt ('灯'): "),
        (Lost(101, 103), "no token for 98.1% of the characters of a.txt: "),
        (Lost(99, 99, "abcdefghijkl"), "100.0% of the characters of a.txt ('a' 'b' "),
        (Lost(99, 99, "abcdefghijkl"), "'i' 'j' ...): it reads one and the same"),
    ],
)
def test_the_share_is_told(lost, told):
    found = lost.note("a.txt")
    assert found is None if told is None else told in found


def test_the_losses_of_two_texts_add_up():
    assert Lost(1, 8, "灯塔") + Lost(3, 9, "塔海") == Lost(4, 17, "灯塔海")


def test_a_word_that_is_known_in_another_form():
    """Without accents, as BERT reads it, 각 is three letters: none of them is lost, and
    of the word with a snowman all four."""
    pieces = ["[UNK]", *normalised("각"), *(f"##{each}" for each in normalised("각"))]
    library = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({each: i for i, each in enumerate(pieces)})
    )
    library.normalizer = tokenizers.normalizers.BertNormalizer()
    library.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    library.decoder = tokenizers.decoders.WordPiece()
    library.add_special_tokens(["[UNK]"])
    tokenizer = WordPieceTokenizer(library)
    assert tokenizer.lost(["각 각"]) == Lost(of=3)
    lost = tokenizer.lost(["각 각☃"])
    assert (lost.n, lost.of) == (4, 7)


def normalised(text):
    return tokenizers.normalizers.BertNormalizer().normalize_str(text)
