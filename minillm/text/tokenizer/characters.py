"""Tokens that are bytes or characters: nothing is learned but the alphabet."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

import minillm.text
from minillm.text.tokenizer.base import Tokenizer
from minillm.text.tokenizer.chunks import chunks

ASCII = "\t\n" + "".join(map(chr, range(32, 127)))
UNKNOWN = "\ufffd"


class ByteTokenizer(Tokenizer):
    """The UTF-8 bytes are the ids; specials follow from 256."""

    kind = "bytes"

    def __init__(
        self,
        specials: Sequence[str] = (),
        template: "minillm.text.Template | None" = None,
    ) -> None:
        ids = {name: 256 + i for i, name in enumerate(specials)}
        super().__init__(256 + len(specials), ids, template)
        self._bytes = [bytes([i]) for i in range(256)]
        self._bytes += [name.encode("utf-8") for name in specials]

    def with_specials(self, names: Iterable[str]) -> "ByteTokenizer":
        return ByteTokenizer([*self.specials, *names], self.template)

    def token_bytes(self, token: int) -> bytes:
        return self._bytes[token]

    def _encode(self, parts: Iterator[str]) -> Iterator[np.ndarray]:
        for chunk in parts:
            yield np.frombuffer(chunk.encode("utf-8"), np.uint8).astype(np.int32)

    def _decode(self, ids: list[int]) -> str:
        return b"".join(self._bytes[i] for i in ids).decode("utf-8", "replace")

    def to_json(self) -> str:
        return json.dumps({"kind": "bytes", **_framing(self)}, indent=1)


class CharTokenizer(Tokenizer):
    """One id for each character of an alphabet, one for all others, then specials.

    The others decode to U+FFFD, the replacement character.
    """

    kind = "chars"

    def __init__(
        self,
        alphabet: str,
        specials: Sequence[str] = (),
        template: "minillm.text.Template | None" = None,
    ) -> None:
        other = len(alphabet)
        ids = {name: other + 1 + i for i, name in enumerate(specials)}
        super().__init__(other + 1 + len(specials), ids, template)
        self.alphabet = alphabet
        self._characters = [*alphabet, UNKNOWN, *specials]
        codes = _codes(alphabet)
        # One entry past the last known character stands for everything beyond it.
        self._ids = np.full(int(codes.max(initial=0)) + 2, other, np.int32)
        self._ids[codes] = np.arange(other)

    @classmethod
    def train(
        cls,
        text: str,
        vocab_size: int | None,
        specials: Sequence[str] = (),
        template: "minillm.text.Template | None" = None,
    ) -> "CharTokenizer":
        """The alphabet of a text, sorted: where it is too large, the most frequent."""
        ranked = ranked_characters(text)
        most = None if vocab_size is None else vocab_size - 1 - len(specials)
        return cls("".join(sorted(list(ranked)[:most])), specials, template)

    @property
    def unknown_id(self) -> int:
        return len(self.alphabet)

    def unknown(self, text: str) -> str:
        known = {*self.alphabet}
        return "".join(each for each in dict.fromkeys(text) if each not in known)

    def with_specials(self, names: Iterable[str]) -> "CharTokenizer":
        return CharTokenizer(self.alphabet, [*self.specials, *names], self.template)

    def _encode(self, parts: Iterator[str]) -> Iterator[np.ndarray]:
        for chunk in parts:
            yield self._ids[np.minimum(_codes(chunk), len(self._ids) - 1)]

    def _decode(self, ids: list[int]) -> str:
        return "".join(self._characters[i] for i in ids)

    def to_json(self) -> str:
        content = {"kind": "chars", "alphabet": self.alphabet, **_framing(self)}
        return json.dumps(content, indent=1, ensure_ascii=False)


def ranked_characters(text: str) -> dict[str, int]:
    """How often each character occurs in a text, the most frequent first.

    Equally frequent ones stand in the order of their code points.
    """
    counts = np.zeros(0x110000, np.int64)
    for chunk in chunks(text):
        here = np.bincount(_codes(chunk))
        counts[: len(here)] += here
    codes = np.flatnonzero(counts)
    ranked = codes[np.argsort(-counts[codes], kind="stable")]
    return {chr(code): int(counts[code]) for code in ranked}


def _framing(tokenizer: Tokenizer) -> dict:
    """The part of tokenizer.json that is about special tokens."""
    framing = {"specials": list(tokenizer.specials)}
    if tokenizer.template is not None:
        framing["template"] = dataclasses.asdict(tokenizer.template)
    return framing


def _codes(text: str) -> np.ndarray:
    """Code points: (T,) uint32."""
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)
