"""Of the library's tokenizers, those of known parts are read, and no others."""

import copy
import json
import time

import numpy as np
import pytest
import tokenizers

from minillm.errors import DataError
from minillm.generation.text_stream import TextStream
from minillm.text import load_tokenizer, train_tokenizer
from minillm.text.tokenizer.allowed import PATTERNS, check_parts
from minillm.text.tokenizer.library import panics_told

TEXT = "She sells sea shells. 她读海。 " * 100
BYTES = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": False,
}
GROWING = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}


def split(pattern: str) -> dict:
    parts = {"pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {
        "type": "Sequence",
        "pretokenizers": [{"type": "Split", **parts}, BYTES],
    }


def sequence(*kinds: str) -> dict:
    return {"type": "Sequence", "normalizers": [{"type": kind} for kind in kinds]}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, dict]:
    path = tmp_path_factory.mktemp("tokenizers") / "tokenizer.json"
    found = {}
    for kind in ("bpe", "wordpiece"):
        train_tokenizer(kind, TEXT, vocab_size=300).save(path)
        found[kind] = json.loads(path.read_text("utf-8"))
    return found


@pytest.fixture
def load(tmp_path, files):
    """A function that loads a tokenizer after it put other values into its file."""

    def loaded(kind: str, **changes):
        file = copy.deepcopy(files[kind])
        for name, value in changes.items():
            *path, last = name.split("__")
            place = file
            for key in path:
                place = place[key]
            place[last] = value
        path = tmp_path / "tokenizer.json"
        path.write_text(json.dumps(file), encoding="utf-8")
        return load_tokenizer(path)

    return loaded


def mark(there: str, here: str, **more) -> dict:
    return {"type": "Replace", "pattern": {"String": there}, "content": here, **more}


PREPEND = {"type": "Prepend", "prepend": "▁"}
METASPACE = {"type": "Metaspace", "replacement": "▁", "split": False}
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
STEPS = [mark("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"}]


def pieces(**changes) -> dict:
    """The file of a tokenizer as Llama 2's, of a few tokens."""
    names = [*(f"<0x{i:02X}>" for i in range(256)), "▁", "a", "b", "▁a", "▁▁"]
    model = {
        "type": "BPE",
        "byte_fallback": True,
        "vocab": {name: i for i, name in enumerate(names)},
        "merges": [["▁", "a"], ["▁", "▁"]],
    }
    file = {
        "model": model,
        "normalizer": {"type": "Sequence", "normalizers": [PREPEND, mark(" ", "▁")]},
        "decoder": {"type": "Sequence", "decoders": [*STEPS, STRIP]},
        "added_tokens": [],
    }
    return {**file, **changes}


# (the kind, what is changed)
READ = [
    ("bpe", {}),
    ("wordpiece", {}),
    *(("bpe", {"pre_tokenizer": split(pattern)}) for pattern in PATTERNS),
    ("bpe", {"normalizer": {"type": "NFC"}}),
    ("bpe", {"normalizer": sequence("NFKC", "Lowercase")}),
    ("bpe", {"post_processor": BYTES}),
    ("bpe", {"padding": {"strategy": {"Fixed": 2**40}, "direction": "Right"}}),
    ("wordpiece", {"normalizer__lowercase": True, "normalizer__strip_accents": None}),
]


@pytest.mark.parametrize(("kind", "changes"), READ)
def test_a_tokenizer_of_known_parts_is_read(load, kind, changes):
    if "padding" in changes:
        changes["padding"] |= {"pad_to_multiple_of": None, "pad_id": 0}
        changes["padding"] |= {"pad_type_id": 0, "pad_token": "x"}
    tokenizer = load(kind, **changes)
    assert "she sells" in tokenizer.decode(tokenizer.encode("She sells.")).lower()


@pytest.mark.parametrize(
    ("changes", "ids"),
    [
        ({}, [259, 257, 256, 258, 195, 169]),
        (
            {"normalizer": None, "pre_tokenizer": METASPACE},
            [259, 257, 256, 258, 195, 169],
        ),
        ({"normalizer": mark(" ", "▁")}, [257, 257, 256, 258, 195, 169]),
    ],
)
def test_merges_of_characters_with_bytes_for_the_rest(tmp_path, changes, ids):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(pieces(**changes)), encoding="utf-8")
    tokenizer = load_tokenizer(path)
    assert tokenizer.encode("aa bé").tolist() == ids
    assert tokenizer.decode(ids).lstrip() == "aa bé"
    assert [tokenizer.token_bytes(i) for i in (259, 195)] == [b" a", b"\xc3"]
    assert tokenizer.decode([257, 195]) == "a\ufffd"
    stream = TextStream(tokenizer, after=[257])
    assert [stream.push(i) for i in (259, 195, 169, 260)] == [" a", "", "é", "  "]
    assert tokenizer.open_end("a ") == ("a", " ")
    assert np.flatnonzero(tokenizer.opening(" ")).tolist() == [32, 256, 259, 260]
    again = tokenizer.with_specials(["<pad>"])
    assert (again.specials, again.encode("aa bé").tolist()) == ({"<pad>": 261}, ids)


@pytest.mark.parametrize("crosses", [False, True])
@pytest.mark.parametrize("prefix", ["rule", "metaspace"])
def test_a_long_text_is_cut_where_no_merge_crosses(tmp_path, crosses, prefix):
    file = pieces()
    if prefix == "metaspace":
        file |= {"normalizer": None, "pre_tokenizer": METASPACE}
    if crosses:
        file["model"]["vocab"]["a▁"] = 261
        file["model"]["merges"].insert(0, ["a", "▁"])
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(file), encoding="utf-8")
    tokenizer = load_tokenizer(path)
    text = "a aa  b   " * 20_000
    whole = tokenizers.Tokenizer.from_str(json.dumps(file)).encode(text).ids
    assert tokenizer.encode(text).tolist() == whole
    assert (len(list(tokenizer._cut(text))) == 1) == crosses
    assert tokenizer.decode(whole) == text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"decoder": {"type": "Sequence", "decoders": STEPS[:2]}}, "a decoder of Repl"),
        ({"decoder": {"type": "Sequence", "decoders": []}}, "decoder has 0 parts"),
        ({"normalizer": {"type": "Lowercase"}}, "spaces are treated in a way"),
        ({"pre_tokenizer": METASPACE}, "spaces are treated in a way"),
        ({"normalizer": mark("a", "▁")}, "normalizer.pattern.String must be one of  ,"),
        ({"normalizer": mark(" ", "▁" * 99)}, "normalizer.content must be one of ▁"),
        ({"normalizer": {**PREPEND, "prepend": "ab"}}, "normalizer.prepend must be"),
        ({"pre_tokenizer": {**METASPACE, "replacement": "_"}}, "replacement must be"),
        ({"decoder": BYTES}, "its bytes are tokens in two ways"),
        (
            {"model": {**pieces()["model"], "byte_fallback": False}},
            "not written in bytes",
        ),
        ({"model": {**pieces()["model"], "vocab": {"▁": 0}}}, "a pair of no tokens"),
        (
            {"model": {**pieces()["model"], "vocab": {"a": 0}, "merges": []}},
            "no token for the byte 0",
        ),
    ],
)
def test_such_merges_are_refused_with(tmp_path, changes, says):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(pieces(**changes)), encoding="utf-8")
    with pytest.raises(DataError, match=says):
        load_tokenizer(path)


@pytest.mark.parametrize(
    ("kind", "pair"),
    [
        ("BertProcessing", [300, 1, 2, 301, 3, 301]),
        ("RobertaProcessing", [300, 1, 2, 301, 301, 3, 301]),
    ],
)
def test_what_stands_around_texts(load, kind, pair):
    size = len(load("bpe")._library.get_vocab())
    added = [
        {"id": size + i, "content": name, "special": True, "single_word": False}
        | {"lstrip": False, "rstrip": False, "normalized": False}
        for i, name in enumerate(("<s>", "</s>"))
    ]
    ends = {"cls": ["<s>", size], "sep": ["</s>", size + 1]}
    tokenizer = load("bpe", post_processor={"type": kind, **ends}, added_tokens=added)
    pair = [i - 300 + size if i >= 300 else i for i in pair]
    assert tokenizer.frame([1, 2], [3], room=9)[0].tolist() == pair
    assert tokenizer.before.tolist() == [size]


# (what it is, the kind, what is changed, what is said)
REFUSED = [
    (
        "a rule that makes texts longer",
        "bpe",
        {"normalizer": {"type": "Sequence", "normalizers": [GROWING] * 4}},
        "normalizer.pattern.String must be one of  , got 'a'",
    ),
    (
        "a table of rules",
        "bpe",
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAAAAAAA"}},
        "normalizer.type must be one of .*, got 'Precompiled'",
    ),
    ("a pattern of nothing", "bpe", {"pre_tokenizer": split("")}, "Regex must be one"),
    (
        "a pattern that never ends",
        "bpe",
        {"pre_tokenizer": split("(a+)+$")},
        "Regex must be one of .*, got '",
    ),
    (
        "a text that may grow 324 times",
        "bpe",
        {"normalizer": sequence("NFKD", "NFKC")},
        "normalizer may make a text 324 times longer",
    ),
    (
        "a sequence in a sequence",
        "bpe",
        {"normalizer": sequence("Sequence")},
        "a sequence in a sequence",
    ),
    ("chance", "bpe", {"model__dropout": 0.5}, "model.dropout must be one of None"),
    (
        "no bytes",
        "bpe",
        {"pre_tokenizer": {"type": "BertPreTokenizer"}},
        "nothing turns its text into bytes",
    ),
    ("no words", "bpe", {"pre_tokenizer": None}, "pre_tokenizer is missing"),
    ("a letter for a byte", "bpe", {"model__vocab__海": 300}, "256 bytes|from 0"),
    ("endless words", "wordpiece", {"model__max_input_chars_per_word": 10**9}, "max_i"),
    (
        "a decoder of another kind",
        "wordpiece",
        {"decoder": BYTES},
        "WordPiece and ByteLevel do not go together",
    ),
    ("an unknown part", "bpe", {"magic": {}}, "it has 'magic', which is not known"),
    ("a field too many", "bpe", {"decoder__magic": 1}, "decoder has 'magic'"),
    ("a later version", "bpe", {"version": "2.0"}, "version must be one of 1.0"),
    (
        "an id far away",
        "bpe",
        {"model__vocab__zz": 10**9},
        "model.vocab has the id 1000000000",
    ),
    ("a merge of no tokens", "bpe", {"model__merges": [["zz", "y"]]}, "of no tokens"),
    ("a long token", "bpe", {"model__vocab__" + "a" * 300_000: 1}, "of 300,000 chara"),
    (
        "a template of numbers",
        "bpe",
        {
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [1],
                "pair": [],
                "special_tokens": {},
            }
        },
        r"post_processor.single\[0\] must be an object",
    ),
]


@pytest.mark.parametrize(
    ("kind", "changes", "says"),
    [row[1:] for row in REFUSED],
    ids=[row[0] for row in REFUSED],
)
def test_a_tokenizer_is_refused_with(load, kind, changes, says):
    begun = time.perf_counter()
    with pytest.raises(DataError, match=says) as caught:
        load(kind, **changes)
    assert "tokenizer.json: not a tokenizer of minillm (" in str(caught.value)
    assert time.perf_counter() - begun < 5


def test_a_vocabulary_has_a_largest_size(files):
    file = copy.deepcopy(files["bpe"])
    file["model"]["vocab"] = {str(i): i for i in range((1 << 20) + 1)}
    with pytest.raises(ValueError, match="more than 1,048,576 tokens"):
        check_parts(file)


@pytest.mark.parametrize("n", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_tokens_as_long_as_a_text_makes_them_are_read(tmp_path, n):
    path = tmp_path / "tokenizer.json"
    train_tokenizer("bpe", "ab" * n, vocab_size=1024).save(path)
    assert len(load_tokenizer(path).encode("ab" * 10_000)) < 20


class PanicException(BaseException):
    """As the library's Rust raises it."""


def test_a_panic_of_the_library_is_a_data_error():
    with pytest.raises(DataError, match="the library fails with it"), panics_told():
        raise PanicException("index out of bounds")
    with pytest.raises(KeyboardInterrupt), panics_told():
        raise KeyboardInterrupt
