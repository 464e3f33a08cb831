"""Byte-level BPE from a vocabulary and its merges, the two files of GPT-2."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from minillm.errors import DataError
from minillm.json_files import read_json
from minillm.reading import TOKENIZER, read_bytes
from minillm.text.tokenizer.allowed import check_parts
from minillm.text.tokenizer.bpe import BpeTokenizer
from minillm.text.tokenizer.library import from_json, n_words, refuse_words

BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": True,
}


def load_bpe(
    vocab: Mapping[str, int] | str | Path,
    merges: Sequence[str | Sequence[str]] | str | Path,
    specials: Sequence[str] = (),
) -> BpeTokenizer:
    """A tokenizer from a vocabulary and merges, in Python or in files.

    `vocab` gives each token its id, as `vocab.json` does; `merges` lists the pairs that
    become one token, as ("a", "b") or "a b", the first first, as `merges.txt` does. A
    token of the vocabulary that is no byte and that no merge makes is a special one
    (GPT-2's <|endoftext|>); further `specials` get the ids that follow.

    Raises DataError for what is no such vocabulary, and for a special token to which
    text could encode.
    """
    where = vocab if isinstance(vocab, (str, Path)) else "the vocabulary"
    if isinstance(vocab, (str, Path)):
        vocab = read_json(vocab, TOKENIZER)
    raw = read_bytes(merges, TOKENIZER) if isinstance(merges, (str, Path)) else None
    try:
        if raw is not None:
            lines = raw.decode("utf-8").replace("\r\n", "\n").split("\n")
            merges = [x for x in lines if x and not x.startswith("#version")]
        return _tokenizer(vocab, merges, specials)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{where}, with its merges: no byte-level BPE ({error})"
        ) from None


def _tokenizer(vocab, merges, specials) -> BpeTokenizer:
    pairs = [pair.split(" ") if isinstance(pair, str) else [*pair] for pair in merges]
    settings = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": BYTE_LEVEL,
        "decoder": BYTE_LEVEL,
        "model": {"type": "BPE", "vocab": dict(vocab), "merges": pairs},
    }
    check_parts(settings)
    made = {"".join(pair) for pair in pairs}
    apart = [token for token in vocab if len(token) > 1 and token not in made]
    bpe = from_json(settings)
    if words := [token for token in apart if n_words(token, bpe) < 2]:
        raise ValueError(f"no merge makes the token {words[0]!r:.60}, a word of text")
    refuse_words(specials, bpe)
    bpe.add_special_tokens([*sorted(apart, key=vocab.get), *specials])
    return BpeTokenizer(bpe)
