"""Of the library's tokenizers, those of known parts are read, and no others."""

import copy
import json
import time

import pytest

from minillm.errors import DataError
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


# (what it is, the kind, what is changed, what is said)
REFUSED = [
    (
        "a rule that makes texts longer",
        "bpe",
        {"normalizer": {"type": "Sequence", "normalizers": [GROWING] * 4}},
        "normalizer.type must be one of .*, got 'Replace'",
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
