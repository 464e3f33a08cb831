"""Tokenizer: what all of them can do, whatever their tokens are."""

import hashlib
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import ClassVar

import numpy as np

import minillm.text
from minillm.errors import UsageError, option
from minillm.text.batch import Batch
from minillm.text.tokenizer.chunks import chunks, rejoined

# Special tokens: padding, what is unknown, those of BERT, begin and end of a text.
PAD, UNK, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
BOS, EOS = "[BOS]", "[EOS]"
PAIR_SPECIALS = (PAD, CLS, SEP, MASK)
SEQ2SEQ_SPECIALS = (PAD, BOS, EOS)
LARGEST_VOCAB = 1 << 20  # the library sets memory aside for all of it
MOST_SHOWN = 10  # characters that are lost
CHINESE = ("\u3400", "\u4dbf"), ("\u4e00", "\u9fff")  # (first, last) character


@dataclass(frozen=True)
class Lost:
    """What is lost of a text on its way into token ids.

    `n` of its `of` characters are read as one and the same unknown token; `characters`
    are those that no token stands for, each once.
    """

    n: int = 0
    of: int = 0
    characters: str = ""

    def __add__(self, other: "Lost") -> "Lost":
        both = dict.fromkeys(self.characters + other.characters)
        return Lost(self.n + other.n, self.of + other.of, "".join(both))

    @property
    def share(self) -> float:
        return self.n / max(self.of, 1)

    def note(self, text: str) -> str | None:
        """In words, what is lost of a text that is called so; None: nothing is."""
        if not self.n:
            return None
        share = f"{self.share:.1%}" if self.share >= 0.001 else "less than 0.1%"
        shown = " ".join(map(repr, self.characters[:MOST_SHOWN]))
        more = " ..." if len(self.characters) > MOST_SHOWN else ""
        return (
            f"the model has no token for {share} of the characters of {text}"
            f"{shown and f' ({shown}{more})'}: it reads one and the same for all that "
            f"it does not know"
        )


NOTHING = Lost()


class Tokenizer(ABC):
    """Turns text into token ids below `vocab_size`, and back.

    `specials` maps the names of special tokens to their ids. Text never encodes to
    them, even where it spells out such a name: only `frame` puts them around a text, as
    `template` says, where there is one. Raises UsageError for a template that needs
    other specials.
    """

    kind: ClassVar[str]
    keeps_spaces: ClassVar[bool] = True
    looks_back: ClassVar[bool] = False  # a token's text depends on the one before
    needs_all = False  # of a text, to say how its first word is parted
    begin = BOS  # what an encoder–decoder's answer begins with: a special token

    def __init__(
        self,
        vocab_size: int,
        specials: dict[str, int],
        template: "minillm.text.Template | None",
    ) -> None:
        for name in template.specials if template else ():
            if name not in specials:
                raise UsageError(
                    f"template {template.single!r} needs the special token {name}"
                )
        self.vocab_size = vocab_size
        self.specials = specials
        self.template = template
        # Of a model from elsewhere: [EOS], [BOS], [PAD] or [UNK] -> the ids of what
        # does its work there, where that is called otherwise.
        self.roles: dict[str, tuple[int, ...]] = {}

    def ids_of(self, role: str) -> tuple[int, ...]:
        """The tokens that do the work of a special token, such as [EOS]: the one of
        this name, or what a model from elsewhere has for it; none where there is no
        such. A text may end at several."""
        named = (self.specials[role],) if role in self.specials else ()
        return self.roles.get(role, named)

    @property
    def never_written(self) -> list[int]:
        """The special tokens, without those that end a text: a model writes none."""
        ends = self.ids_of(EOS)
        return [i for i in self.specials.values() if i not in ends]

    def encode(self, text: str, specials: bool = False) -> np.ndarray:
        """Token ids of a text: (T,) int32. Raises UsageError for a lone surrogate.

        With `specials` the name of a special token is that token, wherever the text
        spells it out: for text that you wrote, not for what a stranger may write.
        """
        if not (specials and self.specials):
            return _joined(self._encode(self._cut(text)))
        longest_first = sorted(self.specials, key=len, reverse=True)
        # Every second part is one of the names.
        parts = re.split(f"({'|'.join(map(re.escape, longest_first))})", text)
        texts = iter(self.encode_all(parts[::2]))
        names = [[self.specials[name]] for name in parts[1::2]]
        return np.concatenate(
            [next(texts), *(ids for name in names for ids in (name, next(texts)))],
            dtype=np.int32,
        )

    def encode_stream(self, pieces: Iterable[str]) -> Iterator[int]:
        """The token ids of a text that comes in pieces, such as the lines of a file or
        what is read of it: those that `encode` gives the whole, wherever it is cut.

        It takes up to 256 pieces at a time and keeps the end of the last one, which may
        be half a word; for some tokenizers from elsewhere (`needs_all`) all of the
        text. Raises UsageError as `encode` does.
        """
        parts = self._cut("".join(pieces)) if self.needs_all else rejoined(pieces)
        for ids in self._encode(parts):
            yield from ids.tolist()

    def encode_all(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text, as `encode` gives them, many texts at a time.

        Raises UsageError for a lone surrogate.
        """
        cut = [list(self._cut(text)) for text in texts]
        ids = self._encode(chain.from_iterable(cut))
        return [_joined(islice(ids, len(parts))) for parts in cut]

    def _cut(self, text: str) -> Iterator[str]:
        """The parts of a text, in which it is encoded one by one."""
        return chunks(text)

    def unknown(self, text: str) -> str:
        """The characters of a text that no token stands for, each once."""
        return ""

    def lost(
        self, texts: Sequence[str], ids: Sequence[np.ndarray] | None = None
    ) -> Lost:
        """What is lost of texts on their way into ids: nothing, unless there is a token
        for the unknown. `ids` are those of the texts, where they are known already."""
        n_characters = sum(map(len, texts))
        if self.unknown_id is None:
            return Lost(of=n_characters)
        found = _joined(self.encode_all(texts) if ids is None else ids)
        if not (found == self.unknown_id).any():
            return Lost(of=n_characters)
        text = "".join(texts)
        return Lost(*self._n_lost(text, found), self.unknown(text))

    def open_end(self, text: str) -> tuple[str, str]:
        """A text that goes on, without the white space at its end that belongs to the
        token of what comes next; and that white space, one character or none."""
        return text, ""

    def opening(self, owed: str) -> np.ndarray:
        """Which tokens can come next after such an end: (V,) bool."""
        return np.ones(self.vocab_size, bool)

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

    def token_bytes(self, token: int) -> bytes:
        """What one token stands for, in UTF-8, of which it may be half a character."""
        return self.decode([token]).encode("utf-8")

    def frame(
        self,
        a: Sequence[int] | np.ndarray,
        b: Sequence[int] | np.ndarray | None = None,
        *,
        room: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ids of one text or two between special tokens, and their segments.

        Both (T,) int32, T at most `room`, as `Template.frame` cuts them; without a
        template a text stands alone. Raises UsageError as `Template.frame` does.
        """
        return self._frame.frame(a, b, room=room, specials=self.specials)

    def room(self, context: int, pair: bool = False) -> int:
        """How many tokens of one text, or of two, a context holds beside special ones.

        Raises UsageError where it holds none.
        """
        n_special = self._frame.n_added(pair)
        room = context - n_special
        if room < 1 + pair:
            raise UsageError(
                f"a context of {context} tokens: {n_special} special tokens leave no "
                f"room for text; give a longer {option('context')}"
            )
        return room

    def pad(
        self, rows: Sequence[tuple[np.ndarray, np.ndarray]], multiple_of: int = 1
    ) -> Batch:
        """What `frame` gave for several texts as arrays of one length, filled up with
        [PAD]. Where there is none any token will do: the mask leaves it out."""
        from minillm.text.padding import pad  # opened for framed texts only

        padding = self.ids_of(PAD) or (0,)
        return pad(rows, padding[0], multiple_of)

    def batch(
        self, texts: Iterable[tuple], *, room: int, multiple_of: int = 1
    ) -> Batch:
        """The ids of one text or two a row, framed and padded to one length."""
        return self.pad([self.frame(*each, room=room) for each in texts], multiple_of)

    @cached_property
    def before(self) -> np.ndarray:
        """The special tokens that begin a text in its frame: int32."""
        words = self.template.single.split() if self.template else ["$A"]
        names = [word.partition(":")[0] for word in words[: words.index("$A")]]
        return np.array([self.specials[name] for name in names], np.int32)

    @property
    def _frame(self) -> "minillm.text.Template":
        """Its template, or one that adds nothing, from a file opened by who frames."""
        return self.template or minillm.text.BARE_TEMPLATE

    @property
    def unknown_id(self) -> int | None:
        """The token for all that has none of its own; None where there is no such."""
        return None

    def _n_lost(self, text: str, ids: np.ndarray) -> tuple[int, int]:
        """How many characters became the unknown token, and of how many."""
        return int((ids == self.unknown_id).sum()), len(text)

    @cached_property
    def ordinary_ids(self) -> np.ndarray:
        """The ids that text can encode to, all but the specials: sorted, int32."""
        every = np.arange(self.vocab_size, dtype=np.int32)
        return np.setdiff1d(every, np.array(list(self.specials.values()), np.int32))

    @cached_property
    def word_edges(self) -> tuple[np.ndarray, np.ndarray]:
        """Which tokens begin a word whatever stands before them, and which end one
        whatever follows: two arrays (V,), bool.

        Letters and digits make words, and so does half a character. Chinese is written
        without spaces: each character is a word.
        """
        texts = [self._decode([i]) for i in range(self.vocab_size)]
        opens, closes = (
            np.array([not _within_a_word(text[place]) for text in texts])
            for place in (slice(1), slice(-1, None))
        )
        for edges in (opens, closes):
            edges[list(self.specials.values())] = True
        return opens, closes

    def save(self, path: str | Path) -> None:
        """Write tokenizer.json. Raises DataError where the disk refuses."""
        from minillm.files import replacing

        with replacing(Path(path)) as temporary:
            temporary.write_bytes(self.to_json().encode("utf-8"))

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the bytes that `save` writes."""
        return hashlib.sha256(self.to_json().encode("utf-8")).hexdigest()

    @abstractmethod
    def with_specials(self, names: Iterable[str]) -> "Tokenizer":
        """The same tokenizer, with further special tokens, whose ids follow."""

    @abstractmethod
    def _encode(self, parts: Iterator[str]) -> Iterator[np.ndarray]:
        """The ids of each part: (T,) int32."""

    @abstractmethod
    def _decode(self, ids: list[int]) -> str: ...

    @abstractmethod
    def to_json(self) -> str:
        """The text of its tokenizer.json."""


def _joined(ids: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int32), *ids])


def _within_a_word(character: str) -> bool:
    """Letters, digits, marks on letters and halves of characters, but no Chinese."""
    if character in ("", "\ufffd"):
        return bool(character)
    if any(first <= character <= last for first, last in CHINESE):
        return False
    return unicodedata.category(character)[0] in "LNM"
