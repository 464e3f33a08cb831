"""Tokenizers: text to ids and back, by byte-level BPE, by bytes or by characters."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tokenizers

from minillm.errors import DataError, UsageError
from minillm.text.pieces import pieces, sample

DEFAULT_BPE_VOCAB = 1_024
LARGEST_VOCAB = 1 << 20  # the library sets memory aside for all of it
ASCII = "\t\n" + "".join(map(chr, range(32, 127)))
UNKNOWN = "\ufffd"


class Tokenizer(ABC):
    """Turns text into token ids below `vocab_size`, and back.

    `specials` maps the names of special tokens to their ids. Text never encodes to
    them, even where it spells out such a name.
    """

    kind: ClassVar[str]
    vocab_size: int
    specials: dict[str, int]

    def encode(self, text: str) -> np.ndarray:
        """Token ids of a text: (T,) int32. Raises UsageError for a lone surrogate."""
        ids = self._encode(pieces(text))
        return np.concatenate([np.empty(0, np.int32), *ids])

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of token ids; bytes that are not UTF-8 become U+FFFD.

        Raises UsageError for an id outside the vocabulary.
        """
        ids = np.asarray(ids, np.int64)
        outside = ids[(ids < 0) | (ids >= self.vocab_size)]
        if outside.size:
            raise UsageError(
                f"token id {outside[0]} is outside the vocabulary of {self.vocab_size}"
            )
        return self._decode(ids.tolist())

    @cached_property
    def ordinary_ids(self) -> np.ndarray:
        """The ids that text can encode to, all but the specials: sorted, int32."""
        every = np.arange(self.vocab_size, dtype=np.int32)
        return np.setdiff1d(every, np.array(list(self.specials.values()), np.int32))

    def save(self, path: str | Path) -> None:
        """Write tokenizer.json."""
        Path(path).write_bytes(self._json().encode("utf-8"))

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the bytes that `save` writes."""
        return hashlib.sha256(self._json().encode("utf-8")).hexdigest()

    @abstractmethod
    def _encode(self, parts: Iterator[str]) -> Iterator[np.ndarray]: ...

    @abstractmethod
    def _decode(self, ids: list[int]) -> str: ...

    @abstractmethod
    def _json(self) -> str: ...


class ByteTokenizer(Tokenizer):
    """The UTF-8 bytes are the ids; specials follow from 256."""

    kind = "bytes"

    def __init__(self, specials: Sequence[str] = ()) -> None:
        self.specials = {name: 256 + i for i, name in enumerate(specials)}
        self.vocab_size = 256 + len(specials)
        self._bytes = [bytes([i]) for i in range(256)]
        self._bytes += [name.encode("utf-8") for name in specials]

    def _encode(self, parts: Iterator[str]) -> Iterator[np.ndarray]:
        for piece in parts:
            yield np.frombuffer(piece.encode("utf-8"), np.uint8).astype(np.int32)

    def _decode(self, ids: list[int]) -> str:
        return b"".join(self._bytes[i] for i in ids).decode("utf-8", "replace")

    def _json(self) -> str:
        return json.dumps({"kind": "bytes", "specials": list(self.specials)}, indent=1)


class CharTokenizer(Tokenizer):
    """One id for each character of an alphabet, one for all others, then specials.

    The others decode to U+FFFD, the replacement character.
    """

    kind = "chars"

    def __init__(self, alphabet: str, specials: Sequence[str] = ()) -> None:
        other = len(alphabet)
        self.alphabet = alphabet
        self.specials = {name: other + 1 + i for i, name in enumerate(specials)}
        self.vocab_size = other + 1 + len(specials)
        self._characters = [*alphabet, UNKNOWN, *specials]
        codes = _codes(alphabet)
        # One entry past the last known character stands for everything beyond it.
        self._ids = np.full(int(codes.max(initial=0)) + 2, other, np.int32)
        self._ids[codes] = np.arange(other)

    def _encode(self, parts: Iterator[str]) -> Iterator[np.ndarray]:
        for piece in parts:
            yield self._ids[np.minimum(_codes(piece), len(self._ids) - 1)]

    def _decode(self, ids: list[int]) -> str:
        return "".join(self._characters[i] for i in ids)

    def _json(self) -> str:
        content = {
            "kind": "chars",
            "alphabet": self.alphabet,
            "specials": list(self.specials),
        }
        return json.dumps(content, indent=1, ensure_ascii=False)


class BpeTokenizer(Tokenizer):
    """Byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al. 2019).

    Pairs that are frequent together become one token, beginning from the 256 bytes, so
    that any text of any script can be written and nothing is unknown.
    """

    kind = "bpe"

    def __init__(self, bpe: tokenizers.Tokenizer) -> None:
        # Text is text, "[MASK]" in it too (tokenizer.json does not keep this), and all
        # of it counts, whatever the maker of the file did about long and short texts.
        bpe.encode_special_tokens = True
        bpe.no_truncation()
        bpe.no_padding()
        self._bpe = bpe
        self.vocab_size = bpe.get_vocab_size(with_added_tokens=True)
        self.specials = {
            token.content: i
            for i, token in sorted(bpe.get_added_tokens_decoder().items())
            if token.special
        }

    @classmethod
    def train(
        cls, text: str, vocab_size: int, specials: Sequence[str] = ()
    ) -> "BpeTokenizer":
        """Learn the merges from a sample of at most 4 million characters.

        The sample is spread evenly over the text. A pair must occur twice to become a
        token, so that a short text can give fewer than `vocab_size`.
        """
        byte_level = tokenizers.pre_tokenizers.ByteLevel
        bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
        bpe.pre_tokenizer = byte_level(add_prefix_space=False)
        bpe.decoder = tokenizers.decoders.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            special_tokens=list(specials),
            initial_alphabet=byte_level.alphabet(),
            show_progress=False,
        )
        bpe.train_from_iterator(sample(text), trainer)
        return cls(bpe)

    def _encode(self, parts: Iterator[str]) -> Iterator[np.ndarray]:
        # The library shares a batch out to the cores. A batch is kept small, for an
        # encoding holds far more than its ids.
        while batch := list(islice(parts, 16)):
            for encoding in self._bpe.encode_batch_fast(
                batch, add_special_tokens=False
            ):
                yield np.array(encoding.ids, np.int32)

    def _decode(self, ids: list[int]) -> str:
        return self._bpe.decode(ids, skip_special_tokens=False)

    def _json(self) -> str:
        return self._bpe.to_str(pretty=True)


def train_tokenizer(
    kind: str,
    text: str,
    *,
    vocab_size: int | None = None,
    specials: Sequence[str] = (),
    alphabet: str | None = None,
) -> Tokenizer:
    """A tokenizer for a training text, of at most `vocab_size` ids with the specials.

    `kind` is "bpe" (1,024 ids unless told), "bytes", or "chars". The alphabet of chars
    is `alphabet="ascii"` (98 ids: tab, newline, printable ASCII and one for the rest),
    or else the text's own, sorted; where that is too large the most frequent characters
    stay. Raises UsageError for an unknown kind and for a `vocab_size` that cannot be.
    """
    if kind not in ("bpe", "bytes", "chars"):
        raise UsageError(f"unknown tokenizer {kind!r}: choose bpe, bytes or chars")
    if len(set(specials)) < len(specials):
        raise UsageError(f"a special token is named twice: {', '.join(specials)}")
    if alphabet not in (None, "ascii") or (alphabet and kind != "chars"):
        raise UsageError(f"alphabet {alphabet!r}: only chars has one, and only 'ascii'")
    fewest = {"bpe": 256, "bytes": 256, "chars": 98 if alphabet else 2}[kind]
    fewest += len(specials)
    if vocab_size is not None and vocab_size < fewest:
        raise UsageError(
            f"a vocabulary of {vocab_size} is too small: {kind} needs at least {fewest}"
        )
    if vocab_size is not None and vocab_size > LARGEST_VOCAB:
        raise UsageError(
            f"a vocabulary of {vocab_size} is too large: at most {LARGEST_VOCAB}"
        )
    if kind == "bpe":
        return BpeTokenizer.train(text, vocab_size or DEFAULT_BPE_VOCAB, specials)
    if kind == "bytes":
        return ByteTokenizer(specials)
    if alphabet == "ascii":
        return CharTokenizer(ASCII, specials)
    most = None if vocab_size is None else vocab_size - 1 - len(specials)
    return CharTokenizer(_alphabet(text, most), specials)


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer of a tokenizer.json. Raises DataError for anything else."""
    try:
        content = Path(path).read_text(encoding="utf-8")
        settings = json.loads(content)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: damaged, not JSON ({error})") from error
    kind = settings.get("kind") if isinstance(settings, dict) else None
    try:
        if kind == "bytes":
            return ByteTokenizer(_distinct(settings["specials"]))
        if kind == "chars":
            alphabet = settings["alphabet"]
            if not isinstance(alphabet, str):
                raise TypeError("the alphabet is not text")
            return CharTokenizer(
                "".join(_distinct([*alphabet])), _distinct(settings["specials"])
            )
        types = (settings["model"]["type"], settings["decoder"]["type"])
        if types == ("BPE", "ByteLevel"):
            return BpeTokenizer(_from_json(content))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a tokenizer of minillm ({error})") from error
    raise DataError(f"{path}: a tokenizer of another kind than byte-level BPE")


def _distinct(names: Any) -> list[str]:
    """The same list if it holds distinct valid strings, else ValueError."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("not a list of strings")
    if len(set(names)) < len(names):
        raise ValueError("something is listed twice")
    "".join(names).encode("utf-8")
    return names


def _from_json(content: str) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_str(content)
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(error) from error


def _alphabet(text: str, most: int | None) -> str:
    """The characters of a text in order, the `most` frequent ones where they are many.

    Of equally frequent ones the lower code points stay.
    """
    counts = np.zeros(0x110000, np.int64)
    for piece in pieces(text):
        here = np.bincount(_codes(piece))
        counts[: len(here)] += here
    codes = np.flatnonzero(counts)
    if most is not None and len(codes) > most:
        ranked = np.argsort(-counts[codes], kind="stable")
        codes = np.sort(codes[ranked[:most]])
    return "".join(map(chr, codes))


def _codes(text: str) -> np.ndarray:
    """Code points: (T,) uint32."""
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)
