"""What the tokenizers that the library `tokenizers` trains and runs have in common."""

from collections.abc import Iterable, Iterator

import numpy as np
import tokenizers

from minillm.errors import UsageError
from minillm.text.tokenizer.base import Tokenizer

# An encoding holds far more than its ids, so that larger batches are slower again.
BATCH_CHARACTERS = 1 << 20
BATCH_PARTS = 256


class LibraryTokenizer(Tokenizer):
    """A tokenizer of the library, kept in the library's own form of tokenizer.json."""

    def __init__(self, library: tokenizers.Tokenizer) -> None:
        # Text is text, "[MASK]" in it too (tokenizer.json does not keep this), and all
        # of it counts, whatever the maker of the file did about long and short texts.
        library.encode_special_tokens = True
        library.no_truncation()
        library.no_padding()
        self._library = library
        self.vocab_size = library.get_vocab_size(with_added_tokens=True)
        self.specials = {
            token.content: i
            for i, token in sorted(library.get_added_tokens_decoder().items())
            if token.special
        }

    def _encode(self, parts: Iterator[str]) -> Iterator[np.ndarray]:
        for batch in _batches(parts):
            for encoding in self._library.encode_batch_fast(
                batch, add_special_tokens=False
            ):
                yield np.array(encoding.ids, np.int32)

    def _decode(self, ids: list[int]) -> str:
        return self._library.decode(ids, skip_special_tokens=False)

    def _json(self) -> str:
        return self._library.to_str(pretty=True)


def n_words(text: str, library: tokenizers.Tokenizer) -> int:
    """How many words a tokenizer parts a text into. No token is longer than a word."""
    if library.normalizer is not None:
        text = library.normalizer.normalize_str(text)
    return len(library.pre_tokenizer.pre_tokenize_str(text))


def refuse_words(specials: Iterable[str], library: tokenizers.Tokenizer) -> None:
    """UsageError for a special token to which a word of the text could encode."""
    for name in specials:
        if n_words(name, library) < 2:
            raise UsageError(
                f"special token {name!r}: could be a word of the text, unlike [{name}]"
            )


def _batches(parts: Iterator[str]) -> Iterator[list[str]]:
    """The parts in batches, which the library shares out to the cores."""
    batch, size = [], 0
    for part in parts:
        batch.append(part)
        size += len(part)
        if size >= BATCH_CHARACTERS or len(batch) == BATCH_PARTS:
            yield batch
            batch, size = [], 0
    yield batch
