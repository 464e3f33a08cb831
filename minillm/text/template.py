"""Framing: the special tokens around the texts that a model reads."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from minillm.errors import UsageError

TEXTS = ("$A", "$B")
PART = re.compile("[^:]+(:[01])?")  # $A or [SEP]:1

# A special token's name, or "$A" or "$B" for a text; and the segment it belongs to.
Part = tuple[str, int]


@dataclass(frozen=True)
class Template:
    """How special tokens frame one text (`single`) or two (`pair`, None: never two).

    Both are written as the library `tokenizers` writes them: names with spaces between,
    `$A` and `$B` for the texts, and `:1` after what belongs to segment 1. Raises
    UsageError for what is no template.
    """

    single: str
    pair: str | None = None

    def __post_init__(self) -> None:
        _check(self.single, ["$A"])
        if self.pair is not None:
            _check(self.pair, ["$A", "$B"])
            if not self.n_added(pair=True):
                raise UsageError(
                    f"template {self.pair!r}: no special token parts the two texts"
                )

    @property
    def specials(self) -> list[str]:
        """The names of the special tokens it needs, sorted."""
        parts = _parts(self.single) + _parts(self.pair or "")
        return sorted({name for name, _ in parts} - set(TEXTS))

    def n_added(self, pair: bool) -> int:
        """How many special tokens it adds to one text, or to a pair."""
        return sum(name not in TEXTS for name, _ in _parts(self._form(pair)))

    def frame(
        self,
        a: Sequence[int] | np.ndarray,
        b: Sequence[int] | np.ndarray | None = None,
        *,
        room: int,
        specials: Mapping[str, int],
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ids of one text or two in their frame, and the segment of each token.

        Both (T,) int32, T at most `room`: what is too long loses tokens at its end, of
        two texts the longer one first. `specials` are the ids of the special tokens.
        Raises UsageError where they alone are more than `room`, and for two texts where
        the template has no pair.
        """
        pair = b is not None
        free = room - self.n_added(pair)
        if free < 0:
            raise UsageError(
                f"room for {room} tokens is too little: the special tokens of "
                f"{self._form(pair)!r} are {self.n_added(pair)}"
            )
        n_a, n_b = _fitting(len(a), len(b) if pair else 0, free)
        texts = {"$A": a[:n_a], "$B": b[:n_b] if pair else []}
        ids, segments = [], []
        for name, segment in _parts(self._form(pair)):
            part = texts[name] if name in texts else [specials[name]]
            ids.append(np.asarray(part, np.int32))
            segments.append(np.full(len(part), segment, np.int32))
        return np.concatenate(ids), np.concatenate(segments)

    def _form(self, pair: bool) -> str:
        if not pair:
            return self.single
        if self.pair is None:
            raise UsageError(f"template {self.single!r} frames one text, not two")
        return self.pair


def _fitting(n_a: int, n_b: int, room: int) -> tuple[int, int]:
    """The lengths of two texts once the longer has lost token by token what is over."""
    if n_a + n_b <= room:
        return n_a, n_b
    shorter = min(n_a, n_b, room // 2)
    # Of equal ones the first loses the odd token.
    return (room - shorter, shorter) if n_a > n_b else (shorter, room - shorter)


@cache
def _parts(form: str) -> tuple[Part, ...]:
    """The parts of a template in order."""
    split = (word.partition(":") for word in form.split())
    return tuple((name, int(segment or 0)) for name, _, segment in split)


def _check(form: str, texts: list[str]) -> None:
    """UsageError unless a template holds these texts, in this order, and no others."""
    if not isinstance(form, str):
        raise UsageError(f"template {form!r}: is no text")
    if wrong := [word for word in form.split() if not PART.fullmatch(word)]:
        raise UsageError(f"template {form!r}: {wrong[0]!r} is not like $B or $B:1")
    if [name for name, _ in _parts(form) if name.startswith("$")] != texts:
        raise UsageError(f"template {form!r}: needs {' and then '.join(texts)}, once")


BARE_TEMPLATE = Template("$A")
BERT_TEMPLATE = Template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")
SEQ2SEQ_TEMPLATE = Template("$A [EOS]")
