"""Byte-pair encoding as SentencePiece has it: of characters, and bytes for the rest."""

import re
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import tokenizers

from minillm.text.template import Template
from minillm.text.tokenizer.base import Tokenizer
from minillm.text.tokenizer.bpe import BpeTokenizer
from minillm.text.tokenizer.chunks import CHUNK_CHARACTERS, chunks
from minillm.text.tokenizer.library import LibraryTokenizer, panics_told

SPACE = "▁"  # what stands for a space in a token
BYTE = re.compile("<0x([0-9A-F]{2})>")
DECODERS = ["Replace", "ByteFallback", "Fuse"]


class SentencePieceTokenizer(BpeTokenizer):
    """Merges of characters, spaces among them, without words (Kudo & Richardson 2018;
    Llama 2). A character that is no token is written in UTF-8, in the tokens <0x00> to
    <0xFF>, so that nothing is unknown.

    A text may get a space before it, as `prefixes` says: by a rule of the normalizer
    ("always") or by Metaspace ("if none": unless there is one). `strips`: decoding
    takes it off again.
    """

    looks_back = True

    def __init__(
        self,
        library: tokenizers.Tokenizer,
        template: Template | None = None,
        *,
        prefixes: str,
        strips: bool,
    ) -> None:
        LibraryTokenizer.__init__(self, library, template)
        self.needs_all = True
        self._prefixes, self._strips = prefixes, strips
        every = library.get_vocab()
        lacking = [i for i in range(256) if f"<0x{i:02X}>" not in every]
        if lacking:
            raise ValueError(f"it has no token for the byte {lacking[0]}")
        added = {*library.get_added_tokens_decoder()}
        words = (token for token, i in every.items() if i not in added)
        # Where no token goes on after a word, words are read one by one.
        self._in_words = not any(SPACE in word.lstrip(SPACE) for word in words)

    def with_specials(self, names) -> "SentencePieceTokenizer":
        library = tokenizers.Tokenizer.from_str(self._library.to_str())
        library.add_special_tokens(list(names))
        how = {"prefixes": self._prefixes, "strips": self._strips}
        return SentencePieceTokenizer(library, self.template, **how)

    def encode(self, text: str, specials: bool = False) -> np.ndarray:
        if not specials:
            return super().encode(text)
        self._library.encode_special_tokens = False
        try:
            with panics_told():
                found = self._library.encode(text, add_special_tokens=False)
        finally:
            self._library.encode_special_tokens = True
        return np.array(found.ids, np.int32)

    def _cut(self, text: str) -> Iterator[str]:
        """Between two words, each part without what the tokenizer adds to it."""
        start = 0
        while self._in_words and len(text) - start > CHUNK_CHARACTERS:
            edge = re.compile("[^ ](?= )").search(text, start + CHUNK_CHARACTERS)
            if edge is None:
                break
            yield from self._whole(text[start : edge.end()])
            start = edge.end() + (self._prefixes == "always")
        yield from self._whole(text[start:])

    def _whole(self, text: str) -> Iterator[str]:
        """The text itself, checked as any other."""
        yield "".join(chunks(text))

    def token_bytes(self, token: int) -> bytes:
        written = self._library.id_to_token(token)
        if token in self._library.get_added_tokens_decoder():
            return written.encode("utf-8")
        if byte := BYTE.fullmatch(written):
            return bytes([int(byte[1], 16)])
        return written.replace(SPACE, " ").encode("utf-8")

    def _decode(self, ids: list[int]) -> str:
        written = b"".join(self._bytes[i] for i in ids)
        return written[self._strips and written[:1] == b" " :].decode(
            "utf-8", "replace"
        )

    @cached_property
    def word_edges(self) -> tuple[np.ndarray, np.ndarray]:
        begins = np.array([each[:1] == b" " for each in self._bytes])
        return begins, np.zeros_like(begins)


def of_library(
    settings: dict, library: tokenizers.Tokenizer, template: Template | None
) -> Tokenizer:
    """Such a tokenizer of the parts in its file. Raises ValueError for others."""
    decoder = [part["type"] for part in settings["decoder"]["decoders"]]
    if decoder[:3] != DECODERS or decoder[3:] not in ([], ["Strip"]):
        raise ValueError(f"a decoder of {', '.join(decoder)}")
    if not settings["model"].get("byte_fallback"):
        raise ValueError("a character without a token is not written in bytes")
    normalizer, words = settings.get("normalizer"), settings.get("pre_tokenizer")
    rules = [] if normalizer is None else normalizer.get("normalizers", [normalizer])
    kinds = [rule["type"] for rule in rules]
    if words is None and kinds in (["Prepend", "Replace"], ["Replace"]):
        prefixes = "always" if "Prepend" in kinds else "never"
    elif words is not None and words["type"] == "Metaspace" and not kinds:
        scheme = words.get("prepend_scheme") or "always"
        prefixes = "never" if scheme == "never" else "if none"
    else:
        raise ValueError("its spaces are treated in a way that is not known here")
    how = {"prefixes": prefixes, "strips": decoder[3:] == ["Strip"]}
    return SentencePieceTokenizer(library, template, **how)
