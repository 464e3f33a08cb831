"""Allowed parts of a tokenizer.json, and how large they may be.

The library builds whatever a file describes: a rule that makes a thousand letters of
each one, a regular expression that never ends. A stranger's file could so take all
memory or time, or end the process. So only these parts are read: what minillm writes,
and what BPE and WordPiece have elsewhere (GPT-2, RoBERTa, Llama 2 and 3, BERT).
"""

import math
from typing import Any, NamedTuple

from minillm.kinds import COUNT, Number, check
from minillm.text.tokenizer.base import LARGEST_VOCAB

LONGEST = 1 << 18  # characters of a token; minillm learns from words of 2^16
MOST_ADDED = 10_000  # tokens beside those of the model
MOST_PARTS = 8  # in a sequence
MOST_GROWTH = 64  # times, that normalizers make a text longer

# How words are parted: GPT-2 and RoBERTa, GPT-4 and Llama 3, Qwen 2.
PATTERNS = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
)

NULL = (None,)
MARK = "▁"  # a space, to SentencePiece
BYTES = {"add_prefix_space?": bool, "trim_offsets?": bool, "use_regex?": bool}
FRAME = {"sep": [str, COUNT], "cls": [str, COUNT]}
SEGMENT = Number(0, 1, whole=True)
PLACES = [
    {
        "SpecialToken?": {"id": str, "type_id": SEGMENT},
        "Sequence?": {"id": ("A", "B"), "type_id": SEGMENT},
    }
]


class Part(NamedTuple):
    """The fields of a part (`kinds.check`), and how many times longer it may make a
    text: ﷺ becomes 18 letters."""

    fields: dict
    growth: int = 1


ALLOWED = {
    "normalizer": {
        "BertNormalizer": Part(
            {
                "clean_text": bool,
                "handle_chinese_chars": bool,
                "strip_accents?": bool,
                "lowercase": bool,
            },
            growth=3,
        ),
        "NFC": Part({}, growth=3),
        "NFD": Part({}, growth=4),
        "NFKC": Part({}, growth=18),
        "NFKD": Part({}, growth=18),
        "Lowercase": Part({}, growth=3),
        "StripAccents": Part({}),
        "Strip": Part({"strip_left?": bool, "strip_right?": bool}),
        "Prepend": Part({"prepend": (MARK,)}),
        "Replace": Part({"pattern": {"String": (" ",)}, "content": (MARK,)}),
    },
    "pre_tokenizer": {
        "ByteLevel": Part(BYTES),
        "BertPreTokenizer": Part({}),
        "Whitespace": Part({}),
        "WhitespaceSplit": Part({}),
        "Digits": Part({"individual_digits?": bool}),
        "Metaspace": Part(
            {
                "replacement": (MARK,),
                "prepend_scheme?": ("always", "first", "never"),
                "split?": bool,
            }
        ),
        "Split": Part(
            {"pattern": {"Regex": PATTERNS}, "behavior": ("Isolated",), "invert": bool}
        ),
    },
    "post_processor": {
        "ByteLevel": Part(BYTES),
        "BertProcessing": Part(FRAME),
        "RobertaProcessing": Part(
            {**FRAME, "trim_offsets?": bool, "add_prefix_space?": bool}
        ),
        "TemplateProcessing": Part(
            {
                "single": PLACES,
                "pair": PLACES,
                "special_tokens": {str: {"id": str, "ids": [COUNT], "tokens": [str]}},
            }
        ),
    },
    "decoder": {
        "ByteLevel": Part(BYTES),
        "WordPiece": Part({"prefix": ("##",), "cleanup": bool}),
        "Replace": Part({"pattern": {"String": (MARK,)}, "content": (" ",)}),
        "ByteFallback": Part({}),
        "Fuse": Part({}),
        "Strip": Part({"content": (" ",), "start": (1,), "stop": (0,)}),
    },
    "model": {
        "BPE": Part(
            {
                "dropout?": NULL,
                "unk_token?": str,
                "continuing_subword_prefix?": ("",),
                "end_of_word_suffix?": ("",),
                "fuse_unk?": bool,
                "byte_fallback?": bool,
                "ignore_merges?": bool,
                "vocab": dict,
                "merges": list,
            }
        ),
        "WordPiece": Part(
            {
                "unk_token": str,
                "continuing_subword_prefix": ("##",),
                "max_input_chars_per_word": Number(1, 200, whole=True),
                "vocab": dict,
            }
        ),
    },
}
# A sequence of parts, and what the library calls their list.
SEQUENCES = {
    "normalizer": "normalizers",
    "pre_tokenizer": "pretokenizers",
    "post_processor": "processors",
    "decoder": "decoders",
}
FILE = {
    "version?": ("1.0",),
    "truncation?": dict,  # what is said of long and short texts is not heeded
    "padding?": dict,
    "added_tokens?": [
        {
            "id": Number(0, 2 * LARGEST_VOCAB, whole=True),
            "content": str,
            "single_word?": bool,
            "lstrip?": bool,
            "rstrip?": bool,
            "normalized?": bool,
            "special?": bool,
        }
    ],
    **dict.fromkeys((f"{place}?" for place in ALLOWED if place != "model"), dict),
    "model": dict,
}


def check_parts(file: dict) -> None:
    """Raise ValueError, which says where, for a tokenizer.json of the library that has
    a part that is not allowed, or one that is too large."""
    check(file, FILE)
    _check_names(file, FILE, "it")
    for place in ALLOWED:
        if file.get(place) is not None:
            growth = math.prod(_growths(place, file[place]))
            if growth > MOST_GROWTH:
                raise ValueError(f"{place} may make a text {growth} times longer")
    added = file.get("added_tokens") or []
    if len(added) > MOST_ADDED:
        raise ValueError(f"added_tokens: {len(added):,}, more than {MOST_ADDED:,}")
    _check_tokens([token["content"] for token in added])
    _check_vocabulary(file["model"])


def _growths(place: str, part: dict):
    """How many times longer each part at a place may make a text."""
    kind = part.get("type")
    if kind == "Sequence" and place in SEQUENCES:
        name = SEQUENCES[place]
        check(part, {name: [dict]}, place)
        _check_names(part, {name}, place)
        if not 1 <= len(part[name]) <= MOST_PARTS:
            raise ValueError(f"{place} has {len(part[name])} parts")
        for each in part[name]:
            if each.get("type") == "Sequence":
                raise ValueError(f"{place} has a sequence in a sequence")
            yield from _growths(place, each)
        return
    check(kind, tuple(ALLOWED[place]), f"{place}.type")
    allowed = ALLOWED[place][kind]
    check(part, allowed.fields, place)
    _check_names(part, allowed.fields, place)
    yield allowed.growth


def _check_names(part: dict, names: Any, place: str) -> None:
    known = {name.removesuffix("?") for name in names} | {"type"}
    for name in part:
        if name not in known:
            raise ValueError(f"{place} has {name!r}, which is not known here")


def _check_vocabulary(model: dict) -> None:
    vocab, merges = model["vocab"], model.get("merges", [])
    if max(len(vocab), len(merges)) > LARGEST_VOCAB:
        raise ValueError(f"its vocabulary has more than {LARGEST_VOCAB:,} tokens")
    _check_tokens(vocab)
    for number in vocab.values():
        if type(number) is not int or not 0 <= number < 2 * LARGEST_VOCAB:
            raise ValueError(f"model.vocab has the id {number!r}")
    for merge in merges:  # of two tokens: ["a", "b"], or "a b" in older files
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError("model.merges has what is no pair of tokens")
        if not all(isinstance(token, str) and token in vocab for token in pair):
            raise ValueError("model.merges has a pair of no tokens")


def _check_tokens(tokens) -> None:
    for token in tokens:
        if not 1 <= len(token) <= LONGEST:
            raise ValueError(f"a token of {len(token):,} characters")
