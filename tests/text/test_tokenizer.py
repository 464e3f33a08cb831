import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.errors import DataError, UsageError
from minillm.text.tokenizer import load_tokenizer, train_tokenizer

KINDS = ["bpe", "wordpiece", "bytes", "chars"]

ENGLISH = (
    "The keeper read the book, and the book read the keeper.\n"
    "    for word in the_book:\n\n        print(word)\n\n"
)
CHINESE = "守塔人念着书，书也念着守塔人。灯塔里装满了书，小林猜着下一个词。\n"
TEXT = (ENGLISH + CHINESE) * 50


def train(kind, **options):
    options.setdefault("vocab_size", 400)
    return train_tokenizer(kind, TEXT, **options)


@pytest.fixture(scope="module")
def trained():
    return {kind: train(kind) for kind in KINDS}


def same(kind, decoded, text):
    """Whether a decoded text is the text: for wordpiece, up to white space."""
    if kind == "wordpiece":
        return "".join(decoded.split()) == "".join(text.split())
    return decoded == text


@pytest.mark.parametrize("kind", KINDS)
def test_text_survives_the_round_trip(trained, kind):
    tokenizer = trained[kind]
    ids = tokenizer.encode(TEXT)
    assert ids.dtype == np.int32
    assert ids.ndim == 1
    assert 0 <= ids.min() <= ids.max() < tokenizer.vocab_size
    assert same(kind, tokenizer.decode(ids), TEXT)


@pytest.mark.parametrize("kind", ["bpe", "bytes"])
@given(text=st.text())
@settings(max_examples=100, deadline=None)
def test_any_unicode_survives_bpe_and_bytes(trained, kind, text):
    assert trained[kind].decode(trained[kind].encode(text)) == text


@pytest.mark.parametrize("kind", ["bpe", "bytes"])
@given(text=st.text())
@settings(max_examples=100, deadline=None)
def test_the_bytes_of_the_tokens_are_those_of_the_text(trained, kind, text):
    tokenizer = trained[kind]
    found = [tokenizer.token_bytes(i) for i in tokenizer.encode(text)]
    assert b"".join(found) == text.encode("utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_has_bytes_and_a_special_one_those_of_its_name(kind):
    tokenizer = train(kind, specials=["[é]"])
    for i in tokenizer.ordinary_ids:
        found = tokenizer.token_bytes(i).decode("utf-8", "replace")
        assert found == tokenizer.decode([i])
    assert tokenizer.token_bytes(tokenizer.specials["[é]"]) == "[é]".encode()


@given(text=st.text())
@settings(max_examples=100, deadline=None)
def test_characters_outside_the_alphabet_become_replacement_characters(trained, text):
    tokenizer = trained["chars"]
    expected = "".join(c if c in TEXT else "\ufffd" for c in text)
    ids = tokenizer.encode(text)
    assert len(ids) == len(text)
    assert tokenizer.decode(ids) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_empty_text_has_no_tokens(trained, kind):
    ids = trained[kind].encode("")
    assert ids.shape == (0,)
    assert ids.dtype == np.int32
    assert trained[kind].decode(ids) == ""


def assert_encoded_alike(tokenizer, texts):
    together = tokenizer.encode_all(texts)
    assert len(together) == len(texts)
    for ids, text in zip(together, texts, strict=True):
        assert ids.dtype == np.int32
        np.testing.assert_array_equal(ids, tokenizer.encode(text))


@pytest.mark.parametrize("kind", KINDS)
@given(texts=st.lists(st.text()))
@settings(max_examples=50, deadline=None)
def test_many_texts_at_once_are_encoded_as_each_is_alone(trained, kind, texts):
    assert_encoded_alike(trained[kind], texts)


@pytest.mark.parametrize("kind", KINDS)
def test_long_texts_among_many_are_encoded_as_each_is_alone(trained, kind):
    short = [TEXT[i : i + i % 9] for i in range(600)]
    assert_encoded_alike(trained[kind], ["", "ab\n" * 40_000, *short, TEXT * 20])


def test_bpe_makes_chinese_shorter_than_its_bytes(trained):
    n_bytes = len(CHINESE.encode("utf-8"))
    assert len(trained["bpe"].encode(CHINESE)) < n_bytes / 3


def test_half_a_character_decodes_to_a_replacement_character(trained):
    for kind in ("bpe", "bytes"):
        ids = trained[kind].encode("🗼")
        assert "\ufffd" in trained[kind].decode(ids[:-1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [-1, 400, 100_000])
def test_ids_outside_the_vocabulary_are_refused(trained, kind, bad):
    with pytest.raises(UsageError, match=f"{bad} is outside the vocabulary"):
        trained[kind].decode([0, bad])


@pytest.mark.parametrize("kind", KINDS)
def test_a_lone_surrogate_is_refused(trained, kind):
    with pytest.raises(UsageError, match=r"\\udcff"):
        trained[kind].encode("a\udcffb")


# Long texts


def long_text() -> str:
    lines = [f"{' ' * (i % 9)}line {i}: {CHINESE[i % 30 :]}" for i in range(8_000)]
    return "\n".join(lines) + "\n" * 70_000 + "x" * 70_000 + "\r\n  " * 20_000


@pytest.mark.parametrize("kind", ["bpe", "bytes"])
def test_a_long_text_survives_the_round_trip(trained, kind):
    text = long_text()
    assert trained[kind].decode(trained[kind].encode(text)) == text


def test_bpe_encodes_a_long_text_as_the_library_does(trained, tmp_path):
    trained["bpe"].save(tmp_path / "tokenizer.json")
    library = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    text = long_text()[:300_000] + "the_book:\n\n        print(word)\n" * 10_000
    np.testing.assert_array_equal(trained["bpe"].encode(text), library.encode(text).ids)


WORDS = ENGLISH.replace("\n", " ") * 1_000
UNUSUAL = "\t\n\v\f\r\x1c\x85\xa0\u200b\u2028\u3000 ab1'st_.,，。”é\u0301"


@pytest.mark.parametrize(
    "text",
    [
        WORDS.replace(" ", "\r\n"),
        WORDS.replace("the ", "\r\n"),
        WORDS.replace("the ", "\r"),
        WORDS.replace("the ", "\u2028"),
        WORDS.replace(" ", "\t"),
        WORDS,
        WORDS.replace(" ", ""),
        "".join(filter(str.isalpha, WORDS)),
        CHINESE.replace("\n", "") * 5_000,
        "".join(filter(str.isalpha, CHINESE)) * 5_000,
        "a" + " " * 140_000 + "b c",
        "?" * 140_000 + "a",
        "it's " * 30_000,
        "".join(np.random.default_rng(0).choice(list(UNUSUAL), 200_000)),
    ],
    ids=[
        "crlf words",
        "crlf",
        "cr",
        "u2028",
        "tabs",
        "one line",
        "no spaces",
        "one word",
        "chinese",
        "chinese word",
        "spaces",
        "marks",
        "contractions",
        "unusual",
    ],
)
@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_the_pieces_of_a_long_text_give_the_ids_of_the_whole(trained, kind, text):
    assert len(text) > 65_536
    whole = trained[kind]._library.encode(text, add_special_tokens=False).ids
    np.testing.assert_array_equal(trained[kind].encode(text), whole)


# Special tokens


@pytest.mark.parametrize("kind", KINDS)
def test_the_name_of_a_special_token_in_a_text_is_plain_text(kind, tmp_path):
    names = ("[MASK]", "<|end|>")
    text = TEXT + "[MASK] <|end|>[MASK]"
    tokenizer = train_tokenizer(kind, text, vocab_size=400, specials=names)
    tokenizer.save(tmp_path / "tokenizer.json")
    for each in (tokenizer, load_tokenizer(tmp_path / "tokenizer.json")):
        assert set(names) <= set(each.specials)
        ids = each.encode(text)
        assert not np.isin(ids, list(each.specials.values())).any()
        assert same(kind, each.decode(ids), text)


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_have_ids_of_their_own(kind):
    tokenizer = train(kind, specials=("[MASK]", "[PAD]"))
    plain = train(kind)
    ids = set(tokenizer.specials.values())
    assert len(ids) == 2 + (kind == "wordpiece")
    ordinary = set(tokenizer.ordinary_ids.tolist())
    assert ordinary | ids == set(range(tokenizer.vocab_size))
    assert not ordinary & ids
    assert len(plain.ordinary_ids) == plain.vocab_size - (kind == "wordpiece")
    assert tokenizer.decode([tokenizer.specials["[MASK]"]]) == "[MASK]"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("bpe", name) for name in ("the", "Ġthe", "**", " ", "")),
        *(("wordpiece", name) for name in ("the", "##er", "*", "灯", " ", "")),
    ],
)
def test_a_special_token_that_a_text_could_write_is_refused(kind, name):
    with pytest.raises(UsageError, match="could be a word of the text"):
        train(kind, specials=("[MASK]", name))


def test_a_special_token_named_twice_is_refused():
    with pytest.raises(UsageError, match="named twice"):
        train("bytes", specials=("[MASK]", "[MASK]"))


# Vocabularies


@pytest.mark.parametrize(
    ("kind", "options", "fewest"),
    [
        ("bpe", {}, 256),
        ("wordpiece", {}, 3),
        ("wordpiece", {"specials": ("[UNK]", "[MASK]")}, 4),
        ("bytes", {}, 256),
        ("chars", {}, 2),
        ("chars", {"alphabet": "ascii"}, 98),
        ("bpe", {"specials": ("[MASK]",)}, 257),
        ("chars", {"specials": ("[MASK]",)}, 3),
    ],
)
def test_too_small_a_vocabulary_is_refused_with_the_smallest(kind, options, fewest):
    with pytest.raises(UsageError, match=f"at least {fewest}"):
        train(kind, vocab_size=fewest - 1, **options)
    assert train(kind, vocab_size=fewest, **options).vocab_size == fewest


@pytest.mark.parametrize("kind", KINDS)
def test_an_absurd_vocabulary_is_refused(kind):
    with pytest.raises(UsageError, match="at most 1048576"):
        train(kind, vocab_size=10**12)


def test_bpe_has_the_vocabulary_that_was_asked_for(trained):
    varied = "".join(f"word{i * i} number{i // 3} " for i in range(5_000))
    assert train_tokenizer("bpe", varied, vocab_size=600).vocab_size == 600
    assert train_tokenizer("bpe", varied).vocab_size == 1_024


def test_bpe_of_a_tiny_text_does_not_learn_it_by_heart():
    tokenizer = train_tokenizer("bpe", "each of these words is here once")
    assert 256 < tokenizer.vocab_size < 270


def test_ascii_characters_are_98():
    tokenizer = train("chars", alphabet="ascii", vocab_size=None)
    assert tokenizer.vocab_size == 98
    printable = "".join(map(chr, range(32, 127)))
    assert tokenizer.decode(tokenizer.encode(f"\t\n{printable}")) == f"\t\n{printable}"
    assert tokenizer.decode(tokenizer.encode("a\r灯")) == "a\ufffd\ufffd"


@pytest.mark.parametrize(
    ("kind", "unknown"),
    [("bpe", ""), ("bytes", ""), ("chars", "z塔"), ("wordpiece", "z塔")],
)
def test_characters_that_no_token_stands_for_are_unknown(kind, unknown):
    options = {"vocab_size": 300, "specials": ("[UNK]",)}
    tokenizer = train_tokenizer(kind, "aXb Xc 灯 " * 99, **options)
    assert tokenizer.unknown("灯 Xz塔az") == unknown


def test_the_alphabet_of_a_text_is_sorted():
    tokenizer = train_tokenizer("chars", "hello 灯塔")
    assert tokenizer.vocab_size == 8
    assert tokenizer.decode(range(8)) == " ehlo塔灯\ufffd"


def test_a_large_alphabet_keeps_the_frequent_characters():
    text = "灯灯灯塔塔书馆" + "a"
    tokenizer = train_tokenizer("chars", text, vocab_size=5)
    # 书, 馆 and a occur once each: the lowest code points stay.
    assert tokenizer.decode(tokenizer.encode(text)) == "灯灯灯塔塔书\ufffda"


def test_an_unknown_kind_is_refused():
    with pytest.raises(UsageError, match="bpe, wordpiece, bytes or chars"):
        train("words")


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_alphabet_is_refused(kind):
    with pytest.raises(UsageError, match="alphabet 'greek'"):
        train(kind, alphabet="greek")


@pytest.mark.parametrize(
    "kind", ["bpe", pytest.param("wordpiece", marks=pytest.mark.slow)]
)
def test_training_in_two_processes_gives_one_vocabulary(kind):
    code = (
        "from minillm.text import load_corpus, train_tokenizer\n"
        "text = load_corpus('stdlib').train[:1_000_000]\n"
        f"print(train_tokenizer('{kind}', text, vocab_size=2_000).sha256)"
    )
    hashes = {
        subprocess.check_output(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": seed},
        )
        for seed in ("1", "2")
    }
    assert len(hashes) == 1


# tokenizer.json


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("specials", [(), ("[MASK]", "[掩码]")])
def test_a_saved_tokenizer_comes_back_the_same(kind, specials, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer = train(kind, specials=specials)
    tokenizer.save(path)
    loaded = load_tokenizer(path)
    assert loaded.kind == kind
    assert loaded.vocab_size == tokenizer.vocab_size
    assert loaded.specials == tokenizer.specials
    assert loaded.sha256 == tokenizer.sha256
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    np.testing.assert_array_equal(loaded.encode(TEXT), tokenizer.encode(TEXT))


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_is_refused(trained, kind, tmp_path):
    path = tmp_path / "tokenizer.json"
    trained[kind].save(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"tokenizer\.json: cannot be read"):
        load_tokenizer(path)


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"kind": "words"},
        {"kind": "bytes"},
        {"kind": "bytes", "specials": "[MASK]"},
        {"kind": "bytes", "specials": ["[MASK]", "[MASK]"]},
        {"kind": "chars", "specials": []},
        {"kind": "chars", "specials": [], "alphabet": "aba"},
        {"kind": "chars", "specials": [], "alphabet": ["a", "b"]},
        {"kind": "chars", "specials": [], "alphabet": "\ud800"},
        {"model": {"type": "WordPiece"}, "decoder": {"type": "WordPiece"}},
        {"model": {"type": "Unigram"}, "decoder": {"type": "WordPiece"}},
        {"model": {"type": "BPE"}, "decoder": {"type": "ByteLevel"}},
        {"model": {"type": "BPE"}, "decoder": None},
    ],
)
def test_a_foreign_file_is_refused(content, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=r"tokenizer\.json: "):
        load_tokenizer(path)


def test_settings_of_another_maker_do_not_cut_a_text(trained, tmp_path):
    path = tmp_path / "tokenizer.json"
    trained["bpe"].save(path)
    library = tokenizers.Tokenizer.from_file(str(path))
    library.enable_truncation(8)
    library.enable_padding(length=100)
    library.save(str(path))
    tokenizer = load_tokenizer(path)
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT
    assert len(tokenizer.encode("a")) == 1


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"none\.json"):
        load_tokenizer(tmp_path / "none.json")
