"""What every tokenizer can do, whatever its tokens are."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import ClassVar

import numpy as np

from minillm.errors import UsageError
from minillm.text.pieces import pieces


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
        return _joined(self._encode(pieces(text)))

    def encode_all(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text, as `encode` gives them, but many texts at a time."""
        cut = [list(pieces(text)) for text in texts]
        ids = self._encode(chain.from_iterable(cut))
        return [_joined(islice(ids, len(parts))) for parts in cut]

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
    def _encode(self, parts: Iterator[str]) -> Iterator[np.ndarray]:
        """The ids of each part: (T,) int32."""

    @abstractmethod
    def _decode(self, ids: list[int]) -> str: ...

    @abstractmethod
    def _json(self) -> str: ...


def _joined(ids: Iterator[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int32), *ids])
