"""From a corpus to token ids."""

from dataclasses import replace

import numpy as np
import pytest

from minillm.learning import data as room
from minillm.learning.config import TOKENIZERS, TrainConfig
from minillm.learning.data import prepare
from minillm.text import MASK


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


@pytest.mark.parametrize(
    ("content", "tokenizer", "beginning"),
    [
        ("1. The lamp was lit.\n", "bpe", "The "),
        ("— 灯塔亮着,海很黑,风很大,船没有来,人都睡了。\n", "bytes", "灯塔亮着"),
        ("没有空格也没有标点的一句很长很长的话\n", "chars", "没有空格也没有标点的一句"),
        ("([)] {}\n", "chars", "([)]"),
    ],
)
def test_a_word_of_the_text_is_there_to_begin_with(
    tmp_path, content, tokenizer, beginning
):
    path = tmp_path / "a.txt"
    path.write_text(content * 200, encoding="utf-8")
    assert prepare(TrainConfig(data=path, tokenizer=tokenizer)).beginning == beginning


def test_documents_have_a_beginning_and_rows_have_none():
    options = {"objective": "mlm+nsp", "arch": "bert", "tokenizer": "chars"}
    text = prepare(TrainConfig(data="topics:documents=100", **options))
    assert len(text.beginning) == 4
    options = {"objective": "seq2seq", "tokenizer": "chars"}
    assert prepare(TrainConfig(data="numbers", **options)).beginning is None


def test_many_times_over_the_same_text_are_told(book, texts):
    text = texts["clm"]
    config = TrainConfig(data=book, context=16, batch=4, steps=1).resolve()
    epoch = text.train_tokens / config.tokens_per_step
    few, many = (replace(config, steps=int(n * epoch)) for n in (19, 35))
    assert text.repeated(few) is None
    assert text.epochs(many) == pytest.approx(35, abs=0.5)
    assert "35 times over the same text" in text.repeated(many)


def test_epochs_of_rows_are_counted_in_rows():
    config = TrainConfig(data="reverse:rows=100", objective="seq2seq", batch=16)
    text = prepare(config)
    assert text.epochs(replace(config.resolve(), steps=17)) == 17 * 16 / len(text.train)


def test_a_large_text_is_announced(book, monkeypatch):
    notes = []
    prepare(TrainConfig(data=book, tokenizer="bytes"), note=notes.append)
    monkeypatch.setattr(room, "LARGE", 1000)
    prepare(TrainConfig(data=book, tokenizer="bytes"), note=notes.append)
    assert notes == ["书.txt: 0.0 MB of text to be encoded by bytes"]
