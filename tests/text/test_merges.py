"""BPE from a vocabulary and its merges: GPT-2's vocab.json and merges.txt."""

import json

import numpy as np
import pytest
import tokenizers

from minillm.errors import DataError
from minillm.reading import Missing
from minillm.text import load_bpe, load_tokenizer, train_tokenizer

TEXT = (
    "The keeper read the book, and the book read the keeper. 守塔人念书。\n# #\n" * 50
)
END = "<|endoftext|>"


@pytest.fixture(scope="module")
def trained():
    return train_tokenizer("bpe", TEXT, vocab_size=330)


@pytest.fixture
def parts(trained):
    """(vocabulary, merges) with GPT-2's special token at the end."""
    model = json.loads(trained.to_json())["model"]
    vocab = {**model["vocab"], END: len(model["vocab"])}
    return vocab, [tuple(pair) for pair in model["merges"]]


def in_files(vocab, merges, folder):
    paths = folder / "vocab.json", folder / "merges.txt"
    paths[0].write_text(json.dumps(vocab), "utf-8")
    lines = ["#version: 0.2", *map(" ".join, merges), ""]
    paths[1].write_text("\n".join(lines), "utf-8", newline="\n")
    return paths


def test_the_ids_are_those_of_the_tokenizer_that_was_taken_apart(
    trained, parts, tmp_path
):
    vocab, merges = parts
    for given in (
        parts,
        (vocab, [" ".join(pair) for pair in merges]),
        in_files(vocab, merges, tmp_path),
        map(str, in_files(vocab, merges, tmp_path)),
    ):
        tokenizer = load_bpe(*given)
        np.testing.assert_array_equal(tokenizer.encode(TEXT), trained.encode(TEXT))
        assert tokenizer.specials == {END: trained.vocab_size}
        assert tokenizer.vocab_size == len(vocab) == trained.vocab_size + 1
        assert tokenizer.encode(f"a{END}", specials=True)[-1] == vocab[END]


def test_a_file_of_windows_is_read_too(parts, trained, tmp_path):
    vocab, merges = in_files(*parts, tmp_path)
    merges.write_bytes(merges.read_bytes().replace(b"\n", b"\r\n"))
    found = load_bpe(vocab, merges).encode(TEXT)
    np.testing.assert_array_equal(found, trained.encode(TEXT))


def test_the_ids_are_those_of_the_librarys_own_reader(parts, tmp_path):
    vocab, merges = map(str, in_files(*parts, tmp_path))
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE.from_file(vocab, merges))
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    text = TEXT + "unseen wörds  \n\n\tand 123's"
    found = load_bpe(vocab, merges).encode(text).tolist()
    assert found == theirs.encode(text).ids


def test_it_is_saved_and_loaded_as_any_other(parts, tmp_path):
    tokenizer = load_bpe(*parts, specials=["[PAD]"])
    assert tokenizer.specials == {END: len(parts[0]) - 1, "[PAD]": len(parts[0])}
    tokenizer.save(tmp_path / "tokenizer.json")
    again = load_tokenizer(tmp_path / "tokenizer.json")
    assert again.specials == tokenizer.specials
    np.testing.assert_array_equal(again.encode(TEXT), tokenizer.encode(TEXT))


def test_what_is_no_vocabulary_is_refused_with_its_name(parts, tmp_path):
    vocab, merges = parts
    for bad, told in [
        ((vocab, [("a", "b", "c")]), "no pair of tokens"),
        ((vocab, [("a", "\u0000")]), "a pair of no tokens"),
        (({"a": 0, "b": 1}, []), "not made of the 256 bytes"),
        (({**vocab, "a": -1}, merges), "has the id -1"),
        (({**vocab, END: 999}, merges), "not the whole numbers from 0"),
        (([1, 2], merges), "the vocabulary, with its merges"),
        ((vocab, None), "the vocabulary, with its merges"),
    ]:
        with pytest.raises(DataError, match=told):
            load_bpe(*bad)
    with pytest.raises(DataError, match="no merge makes the token 'keepers'"):
        load_bpe({**vocab, "keepers": len(vocab)}, merges)
    with pytest.raises(DataError, match="'PAD': could be a word"):
        load_bpe(vocab, merges, specials=["PAD"])
    paths = in_files(vocab, merges, tmp_path)
    with pytest.raises(Missing):
        load_bpe(paths[0], tmp_path / "none.txt")
    paths[0].write_text("{", "utf-8")
    with pytest.raises(DataError, match=r"vocab\.json"):
        load_bpe(*paths)
