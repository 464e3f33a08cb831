"""Byte-level byte-pair encoding.

A text is encoded word by word (`words.py`); where its words seldom come again, the
library does it (`library.py`).
"""

from collections.abc import Iterator, Sequence
from functools import cache, cached_property

import numpy as np
import tokenizers

from minillm.errors import UsageError
from minillm.text.template import Template
from minillm.text.tokenizer.chunks import sample
from minillm.text.tokenizer.library import (
    LibraryTokenizer,
    batches,
    panics_told,
    refuse_words,
)
from minillm.text.tokenizer.words import Words, splits_by_words


class BpeTokenizer(LibraryTokenizer):
    """Byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al. 2019).

    Pairs that are frequent together become one token, beginning from the 256 bytes, so
    that any text of any script can be written and nothing is unknown.
    """

    kind = "bpe"

    def __init__(
        self, library: tokenizers.Tokenizer, template: Template | None = None
    ) -> None:
        super().__init__(library, template)
        added, every = library.get_added_tokens_decoder(), library.get_vocab()
        written = "".join(token for token, i in every.items() if i not in added)
        alphabet = byte_of_character().keys()
        if not (alphabet <= every.keys() and {*written} == alphabet):
            raise UsageError("its tokens are not made of the 256 bytes")

    def _encode(self, parts: Iterator[str]) -> Iterator[np.ndarray]:
        if not splits_by_words(self._library):
            yield from super()._encode(parts)
            return
        words = Words(self._library)
        for batch in batches(parts):
            with panics_told():
                ids = [words.encode(part) for part in batch]
            others = [
                part for part, found in zip(batch, ids, strict=True) if found is None
            ]
            by_library = super()._encode(iter(others))
            for found in ids:
                yield next(by_library) if found is None else found

    def token_bytes(self, token: int) -> bytes:
        written = self._library.id_to_token(token)
        if token in self._library.get_added_tokens_decoder():
            return written.encode("utf-8")
        byte_of = byte_of_character()
        return bytes(byte_of[c] for c in written)

    def open_end(self, text: str) -> tuple[str, str]:
        # A word's token holds the space before it. And the last of several white spaces
        # stands apart from the others, unless that is where the text ends.
        owed = text[-1:]
        begin = owed.encode("utf-8")
        if owed.isspace() and any(each.startswith(begin) for each in self._bytes):
            return text[:-1], owed
        return text, ""

    def opening(self, owed: str) -> np.ndarray:
        begin = owed.encode("utf-8")
        return np.array([each.startswith(begin) for each in self._bytes])

    @cached_property
    def _bytes(self) -> list[bytes]:
        return [self.token_bytes(i) for i in range(self.vocab_size)]

    @classmethod
    def train(
        cls,
        text: str,
        vocab_size: int,
        specials: Sequence[str] = (),
        template: Template | None = None,
    ) -> "BpeTokenizer":
        """Learn the merges from a sample of at most 4 million characters.

        The sample is spread evenly over the text. A pair must occur twice to become a
        token, so that a short text can give fewer than `vocab_size`.
        """
        byte_level = tokenizers.pre_tokenizers.ByteLevel
        bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
        bpe.pre_tokenizer = byte_level(add_prefix_space=False)
        bpe.decoder = tokenizers.decoders.ByteLevel()
        refuse_words(specials, bpe)
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            special_tokens=list(specials),
            initial_alphabet=byte_level.alphabet(),
            show_progress=False,
        )
        bpe.train_from_iterator(sample(text), trainer)
        return cls(bpe, template)


@cache
def byte_of_character() -> dict[str, int]:
    """The byte for which a character stands in the library's vocabulary.

    A printable character of Latin-1 is its own byte, and those from 256 on are the
    other bytes in order (Radford et al. 2019, in their code).
    """
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    own = {c: ord(c) for c in alphabet if ord(c) < 256}
    others = sorted(set(range(256)) - set(own.values()))
    return own | dict(zip(alphabet[len(own) :], others, strict=True))
