"""A new tokenizer for a text."""

from collections.abc import Sequence

import minillm.text
from minillm.errors import UsageError
from minillm.text.tokenizer.base import LARGEST_VOCAB, UNK, Tokenizer
from minillm.text.tokenizer.characters import ASCII, ByteTokenizer, CharTokenizer

DEFAULT_VOCAB = 1_024
# Without specials; for wordpiece a letter, which begins words and continues them.
FEWEST = {"bpe": 256, "wordpiece": 2, "bytes": 256, "chars": 2}


def train_tokenizer(
    kind: str,
    text: str,
    *,
    vocab_size: int | None = None,
    specials: Sequence[str] = (),
    alphabet: str | None = None,
    template: "minillm.text.Template | None" = None,
) -> Tokenizer:
    """A tokenizer for a training text, of at most `vocab_size` ids with the specials.

    `kind` is "bpe" or "wordpiece" (1,024 ids unless told), "bytes", or "chars". The
    alphabet of chars is `alphabet="ascii"` (98 ids: tab, newline, printable ASCII and
    one for the rest), or else the text's own, sorted; where that is too large the most
    frequent characters stay. Wordpiece has [UNK] after its specials where it is not
    among them. `template` says how `frame` puts specials around a text.

    Raises UsageError for an unknown kind, for a `vocab_size` that cannot be, for
    specials that text could encode to, and for a template that needs others.
    """
    if kind not in FEWEST:
        raise UsageError(
            f"unknown tokenizer {kind!r}: choose bpe, wordpiece, bytes or chars"
        )
    if len(set(specials)) < len(specials):
        raise UsageError(f"a special token is named twice: {', '.join(specials)}")
    if alphabet not in (None, "ascii") or (alphabet and kind != "chars"):
        raise UsageError(f"alphabet {alphabet!r}: only chars has one, and only 'ascii'")
    if kind == "wordpiece" and UNK not in specials:
        specials = [*specials, UNK]
    fewest = (len(ASCII) + 1 if alphabet else FEWEST[kind]) + len(specials)
    if vocab_size is not None and vocab_size < fewest:
        raise UsageError(
            f"a vocabulary of {vocab_size} is too small: {kind} needs at least {fewest}"
        )
    if vocab_size is not None and vocab_size > LARGEST_VOCAB:
        raise UsageError(
            f"a vocabulary of {vocab_size} is too large: at most {LARGEST_VOCAB}"
        )
    if kind == "bytes":
        return ByteTokenizer(specials, template)
    if alphabet == "ascii":
        return CharTokenizer(ASCII, specials, template)
    if kind == "chars":
        return CharTokenizer.train(text, vocab_size, specials, template)
    # Opened where they are needed, with the library `tokenizers`.
    from minillm.text.tokenizer.bpe import BpeTokenizer
    from minillm.text.tokenizer.wordpiece import WordPieceTokenizer

    subwords = {"bpe": BpeTokenizer, "wordpiece": WordPieceTokenizer}[kind]
    return subwords.train(text, vocab_size or DEFAULT_VOCAB, specials, template)
