"""From a corpus to token ids."""

import numpy as np

from minillm.text import MASK
from minillm.training import data as room
from minillm.training.config import TOKENIZERS, TrainConfig
from minillm.training.data import prepare


def test_both_parts_are_encoded_and_come_back(book):
    with open(book, encoding="utf-8", newline="") as file:
        content = file.read()
    for kind in TOKENIZERS:
        text = prepare(TrainConfig(data=book, tokenizer=kind, vocab=300))
        decode = text.tokenizer.decode
        both = decode(text.train) + decode(text.val)
        if kind == "wordpiece":  # keeps no white space
            assert "".join(both.split()) == "".join(content.split())
        else:
            assert both == content
        assert text.train.dtype == np.int32
        assert text.n_bytes == len(content.encode())
        if kind != "wordpiece":
            assert text.bytes_per_token * len(text.val) == text.val_bytes
        else:
            assert text.bytes_per_token is None


def test_the_tokenizer_learns_from_the_training_part_alone(tmp_path):
    book = tmp_path / "text.txt"
    book.write_text("a sea of words\n" * 1000 + "ж" * 1000, encoding="utf-8")
    text = prepare(TrainConfig(data=book, tokenizer="chars"))
    assert "ж" not in text.tokenizer.alphabet
    assert "\ufffd" in text.tokenizer.decode(text.val)


def test_only_a_masked_model_has_a_mask(texts):
    assert texts["clm"].tokenizer.specials == {}
    assert MASK in texts["mlm"].tokenizer.specials


def test_a_given_tokenizer_is_used(book, texts):
    tokenizer = texts["clm"].tokenizer
    assert prepare(TrainConfig(data=book), tokenizer).tokenizer is tokenizer


def test_a_large_text_is_announced(book, monkeypatch):
    notes = []
    prepare(TrainConfig(data=book, tokenizer="bytes"), note=notes.append)
    monkeypatch.setattr(room, "LARGE", 1000)
    prepare(TrainConfig(data=book, tokenizer="bytes"), note=notes.append)
    assert notes == ["书.txt: 0.0 MB of text to be encoded by bytes"]
