"""Framing: special tokens around texts, as the library itself puts them there."""

import json

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.errors import DataError, UsageError
from minillm.text import (
    BERT_TEMPLATE,
    PAIR_SPECIALS,
    SEQ2SEQ_SPECIALS,
    SEQ2SEQ_TEMPLATE,
    Template,
    load_tokenizer,
    train_tokenizer,
)

KINDS = ["bpe", "wordpiece", "bytes", "chars"]
LIBRARY_KINDS = KINDS[:2]
TEXT = "The keeper read the book. 守塔人念着书，书也念着守塔人。🗼\n" * 20
TEXTS = st.text(st.sampled_from(sorted({*TEXT, "Ω"})), max_size=30)


def train(kind, template=BERT_TEMPLATE, specials=PAIR_SPECIALS):
    options = {"vocab_size": 320, "specials": specials, "template": template}
    return train_tokenizer(kind, TEXT, **options)


@pytest.fixture(scope="module")
def bert():
    return {kind: train(kind) for kind in KINDS}


def library(tokenizer, path):
    """The tokenizer as the library alone reads it from its file."""
    tokenizer.save(path)
    read = tokenizers.Tokenizer.from_file(str(path))
    read.encode_special_tokens = True
    return read


@pytest.fixture(scope="module")
def libraries(bert, tmp_path_factory):
    path = tmp_path_factory.mktemp("library") / "tokenizer.json"
    return {kind: library(bert[kind], path) for kind in LIBRARY_KINDS}


def names(tokenizer, ids):
    """Special tokens by name, other ids as they are."""
    name_of = {i: name for name, i in tokenizer.specials.items()}
    return [name_of.get(i, i) for i in ids.tolist()]


# Against the library


@pytest.mark.parametrize("kind", LIBRARY_KINDS)
@given(a=TEXTS, b=st.none() | TEXTS, room=st.integers(3, 40))
@settings(max_examples=150, deadline=None)
def test_a_framed_text_is_what_the_library_makes_of_it(
    bert, libraries, kind, a, b, room
):
    tokenizer, library = bert[kind], libraries[kind]
    library.enable_truncation(room, strategy="longest_first")
    encoding = library.encode(a, b)
    a_ids, b_ids = tokenizer.encode(a), None if b is None else tokenizer.encode(b)
    ids, segments = tokenizer.frame(a_ids, b_ids, room=room)
    assert ids.dtype == segments.dtype == np.int32
    assert ids.tolist() == encoding.ids
    assert segments.tolist() == encoding.type_ids


@given(n_a=st.integers(0, 30), n_b=st.integers(0, 30), room=st.integers(3, 50))
@settings(max_examples=300, deadline=None)
def test_two_texts_of_any_lengths_are_cut_as_the_library_cuts_them(
    bert, libraries, n_a, n_b, room
):
    libraries["wordpiece"].enable_truncation(room, strategy="longest_first")
    texts = ("守" * n_a, "书" * n_b)
    encoding = libraries["wordpiece"].encode(*texts)
    a, b = map(bert["wordpiece"].encode, texts)
    ids, _ = bert["wordpiece"].frame(a, b, room=room)
    assert ids.tolist() == encoding.ids


@given(
    n=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=5),
    multiple_of=st.integers(1, 8),
)
@settings(max_examples=100, deadline=None)
def test_padded_texts_are_what_the_library_makes_of_them(
    bert, libraries, n, multiple_of
):
    tokenizer, library = bert["wordpiece"], libraries["wordpiece"]
    texts = [("守" * n_a, "书" * n_b) for n_a, n_b in n]
    library.no_truncation()
    pad_id = tokenizer.specials["[PAD]"]
    library.enable_padding(pad_id=pad_id, pad_to_multiple_of=multiple_of)
    encodings = library.encode_batch(texts)
    library.no_padding()
    rows = [tokenizer.frame(*map(tokenizer.encode, pair), room=100) for pair in texts]
    framed = tokenizer.pad(rows, multiple_of=multiple_of)
    assert framed.ids.dtype == framed.segments.dtype == np.int32
    assert framed.mask.dtype == bool
    assert framed.ids.tolist() == [each.ids for each in encodings]
    assert framed.segments.tolist() == [each.type_ids for each in encodings]
    assert framed.mask.tolist() == [
        list(map(bool, each.attention_mask)) for each in encodings
    ]


def test_seq2seq_ends_a_text_as_the_library_does(tmp_path):
    tokenizer = train("wordpiece", SEQ2SEQ_TEMPLATE, SEQ2SEQ_SPECIALS)
    ids, segments = tokenizer.frame(tokenizer.encode("the 书"), room=9)
    read = library(tokenizer, tmp_path / "tokenizer.json")
    assert ids.tolist() == read.encode("the 书").ids
    assert names(tokenizer, ids)[-1] == "[EOS]"
    assert segments.tolist() == [0] * len(ids)
    with pytest.raises(UsageError, match="frames one text, not two"):
        tokenizer.frame(ids, ids, room=9)


# For every kind of tokenizer


@pytest.mark.parametrize("kind", KINDS)
def test_two_texts_stand_between_special_tokens(bert, kind):
    tokenizer = bert[kind]
    a, b = tokenizer.encode("the book"), tokenizer.encode("书")
    ids, segments = tokenizer.frame(a, room=40)
    assert names(tokenizer, ids) == ["[CLS]", *a, "[SEP]"]
    assert segments.tolist() == [0] * (len(a) + 2)
    ids, segments = tokenizer.frame(a.tolist(), b.tolist(), room=40)
    assert names(tokenizer, ids) == ["[CLS]", *a, "[SEP]", *b, "[SEP]"]
    assert segments.tolist() == [0] * (len(a) + 2) + [1] * (len(b) + 1)


@pytest.mark.parametrize("kind", KINDS)
def test_empty_texts_leave_the_special_tokens(bert, kind):
    tokenizer = bert[kind]
    empty = tokenizer.encode("")
    ids, segments = tokenizer.frame(empty, empty, room=3)
    assert names(tokenizer, ids) == ["[CLS]", "[SEP]", "[SEP]"]
    assert segments.tolist() == [0, 0, 1]
    assert names(tokenizer, tokenizer.frame(empty, room=2)[0]) == ["[CLS]", "[SEP]"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_names_of_special_tokens_in_a_text_are_text(bert, kind):
    tokenizer = bert[kind]
    ids, _ = tokenizer.frame(tokenizer.encode("[CLS] the [SEP][PAD] [MASK]"), room=99)
    special = [name for name in names(tokenizer, ids) if isinstance(name, str)]
    assert [name for name in special if name != "[UNK]"] == ["[CLS]", "[SEP]"]


@given(n_a=st.integers(0, 30), n_b=st.integers(0, 30), room=st.integers(3, 40))
def test_the_longer_text_loses_its_last_token_first(bert, n_a, n_b, room):
    a, b = list(range(100, 100 + n_a)), list(range(200, 200 + n_b))
    ids, segments = bert["bytes"].frame(a, b, room=room)
    assert len(ids) == min(room, n_a + n_b + 3)
    while len(a) + len(b) + 3 > room:  # one by one
        (a if len(a) > len(b) or (len(a) == len(b) and n_a <= n_b) else b).pop()
    assert [i for i in ids if 100 <= i < 200] == a
    assert [i for i in ids if 200 <= i < 256] == b
    assert segments.tolist() == [0] * (len(a) + 2) + [1] * (len(b) + 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("template", "specials"),
    [
        (BERT_TEMPLATE, PAIR_SPECIALS),
        (SEQ2SEQ_TEMPLATE, SEQ2SEQ_SPECIALS),
        (Template("$A"), ("[PAD]",)),
        (Template("<s> $A <e>", "<s> $A <e> <e> $B <e>"), ("<s>", "<e>")),
    ],
)
def test_a_saved_template_comes_back(kind, template, specials, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer = train(kind, template, specials)
    tokenizer.save(path)
    saved = path.read_bytes()
    loaded = load_tokenizer(path)
    assert loaded.template == tokenizer.template == template
    assert loaded.sha256 == tokenizer.sha256
    loaded.save(path)
    assert path.read_bytes() == saved
    ids = tokenizer.encode(TEXT)
    np.testing.assert_array_equal(loaded.encode(TEXT), ids)
    for framed, again in zip(
        tokenizer.frame(ids, room=20), loaded.frame(ids, room=20), strict=True
    ):
        np.testing.assert_array_equal(framed, again)


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_changes_no_id(kind):
    plain, framing = train(kind, template=None), train(kind)
    np.testing.assert_array_equal(framing.encode(TEXT), plain.encode(TEXT))
    assert framing.specials == plain.specials
    assert plain.template is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_without_a_template_stands_alone(kind):
    plain = train(kind, template=None)
    ids, segments = plain.frame(plain.encode(TEXT), room=3)
    np.testing.assert_array_equal(ids, plain.encode(TEXT)[:3])
    assert segments.tolist() == [0, 0, 0]
    with pytest.raises(UsageError, match="one text, not two"):
        plain.frame(ids, ids, room=9)


# Padding


def test_padding_is_told_from_text(bert):
    tokenizer = bert["bytes"]
    rows = [tokenizer.frame([1] * n, [2] * n, room=9) for n in (2, 1)]
    framed = tokenizer.pad(rows)
    pad = tokenizer.specials["[PAD]"]
    assert framed.ids[1, 5:].tolist() == [pad, pad]
    assert framed.segments.tolist() == [[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0, 0]]
    assert framed.mask.tolist() == [[True] * 7, [True] * 5 + [False] * 2]
    assert tokenizer.pad(rows, multiple_of=8).ids.shape == (2, 8)
    assert tokenizer.pad([]).ids.shape == (0, 0)


def test_padding_that_cannot_be_is_refused(bert):
    with pytest.raises(UsageError, match="multiple_of must be at least 1, got 0"):
        bert["bytes"].pad([], multiple_of=0)


def test_padding_needs_no_token_of_its_own():
    tokenizer = train_tokenizer("bytes", "")
    framed = tokenizer.pad([tokenizer.frame([7] * n, room=9) for n in (2, 1)])
    assert framed.mask.tolist() == [[True, True], [True, False]]
    assert framed.ids[framed.mask].tolist() == [7, 7, 7]


# What is refused


@pytest.mark.parametrize(("pair", "least"), [(False, 2), (True, 3)])
def test_no_room_for_the_special_tokens_is_refused(bert, pair, least):
    assert BERT_TEMPLATE.n_added(pair) == least
    b = [2] if pair else None
    for room in (least - 1, 0, -1):
        with pytest.raises(UsageError, match=f"room for {room} tokens is too little"):
            bert["bytes"].frame([1], b, room=room)
    assert len(bert["bytes"].frame([1], b, room=least)[0]) == least


@pytest.mark.parametrize(
    ("single", "pair", "words"),
    [
        ("", None, r"needs \$A, once"),
        ("[CLS]", None, r"needs \$A, once"),
        ("$A $A", None, r"needs \$A, once"),
        ("$B", None, r"needs \$A, once"),
        ("$A $C", None, r"needs \$A, once"),
        ("$A [EOS]:2", None, r"'\[EOS\]:2' is not like"),
        ("$A :1", None, "':1' is not like"),
        ("$A a:b", None, "'a:b' is not like"),
        (["$A"], None, "is no text"),
        (None, None, "is no text"),
        ("$A", "$A [SEP]", r"needs \$A and then \$B, once"),
        ("$A", "$B [SEP] $A", r"needs \$A and then \$B, once"),
        ("$A", "$A $B:1", "no special token parts"),
        ("$A", 5, "is no text"),
    ],
)
def test_what_is_no_template_is_refused(single, pair, words):
    with pytest.raises(UsageError, match=words):
        Template(single, pair)


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_that_needs_other_special_tokens_is_refused(kind):
    with pytest.raises(UsageError, match=r"needs the special token \[CLS\]"):
        train(kind, BERT_TEMPLATE, ("[SEP]", "[PAD]"))


def damaged_library_files(file):
    processor = file["post_processor"]
    yield {**processor, "single": []}
    yield {**processor, "single": [{"Sequence": {"id": "B", "type_id": 0}}]}
    yield {**processor, "single": [{"Sequence": {"id": "A", "type_id": 7}}]}
    yield {**processor, "single": "[CLS] $A"}
    yield {**processor, "pair": processor["single"]}
    yield {**processor, "pair": processor["pair"][::-1]}
    yield {**processor, "special_tokens": {}}
    other = {"[CLS]": {"id": "[CLS]", "ids": [9], "tokens": ["[CLS]"]}}
    yield {**processor, "special_tokens": processor["special_tokens"] | other}
    unknown = [*processor["single"], {"SpecialToken": {"id": "[NEW]", "type_id": 0}}]
    yield {**processor, "single": unknown}
    yield {"type": "TemplateProcessing"}
    yield {}
    yield 5


@pytest.mark.parametrize("kind", LIBRARY_KINDS)
def test_a_damaged_template_in_a_file_of_the_library_is_refused(bert, kind, tmp_path):
    path = tmp_path / "tokenizer.json"
    bert[kind].save(path)
    file = json.loads(path.read_text(encoding="utf-8"))
    for processor in damaged_library_files(file):
        content = json.dumps({**file, "post_processor": processor})
        path.write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match=r"tokenizer\.json: not a tokenizer"):
            load_tokenizer(path)


@pytest.mark.parametrize("kind", ["bytes", "chars"])
@pytest.mark.parametrize(
    "template",
    ["$A", 5, [], {}, {"single": 5}, {"single": "$A [NEW]"}, {"single": "$A", "x": 1}],
)
def test_a_damaged_template_in_a_file_of_ours_is_refused(
    bert, kind, template, tmp_path
):
    path = tmp_path / "tokenizer.json"
    bert[kind].save(path)
    file = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**file, "template": template}), encoding="utf-8")
    with pytest.raises(DataError, match=r"tokenizer\.json: not a tokenizer"):
        load_tokenizer(path)


def test_a_post_processor_of_another_type_is_no_template(bert, tmp_path):
    path = tmp_path / "tokenizer.json"
    read = library(bert["bpe"], path)
    read.post_processor = tokenizers.processors.ByteLevel()
    read.save(str(path))
    tokenizer = load_tokenizer(path)
    assert tokenizer.template is None
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT
