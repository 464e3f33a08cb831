"""From tokens to text, piece by piece: whole characters, and nothing beyond the end."""

import copy
from collections.abc import Sequence

import numpy as np

from minillm.errors import UsageError
from minillm.text import EOS, Tokenizer
from minillm.text.tokenizer import UNKNOWN


class TextStream:
    """Takes one sequence's tokens and gives out its text as soon as it is certain.

    A token can end inside a UTF-8 character: the beginning of a character waits for its
    rest, and is dropped if none comes. The text ends at a token that does the work of
    [EOS], or before the first of the `stop` texts; what may be the beginning of one
    waits too. `after` are the tokens before the first, on the last of which depends
    whether wordpiece begins a word or continues one; `owed` is white space that the
    first begins with, and that stands there already. Raises UsageError for a stop text
    that is empty, as all white space is to wordpiece.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        stop: str | Sequence[str] = (),
        after: Sequence[int] | np.ndarray = (),
        owed: str = "",
    ):
        stop = [stop] if isinstance(stop, str) else stop
        if not tokenizer.keeps_spaces:
            # It will come as the tokens spell it: "Who?" as "Who ?".
            stop = [tokenizer.decode(tokenizer.encode(text)) for text in stop]
        if "" in stop:
            no_spaces = "" if tokenizer.keeps_spaces else " (wordpiece has no spaces)"
            raise UsageError(f"a stop text must not be empty{no_spaces}")
        self.ended = False
        self.n_tokens = 0  # without one that is nothing but what was owed
        self._tokenizer = tokenizer
        self._ends = tokenizer.ids_of(EOS)
        self._stop = stop
        self._keep(after)
        self._n_decoded += len(owed)
        self._waiting = ""  # certain characters that may begin a stop text

    def push(self, token: int) -> str:
        """The text that this token makes certain. Nothing after the end."""
        if self.ended:
            return ""
        if token in self._ends:
            self.ended = True
            return self._give(len(self._waiting))
        self._waiting += self._decode(token)
        found = [self._waiting.find(text) for text in self._stop]
        found = [place for place in found if place >= 0]
        if found:
            self.ended = True
            return self._waiting[: min(found)]
        return self._give(len(self._waiting) - self._overlap())

    def branch(self) -> "TextStream":
        """The same text so far, to be continued in another way."""
        return copy.copy(self)

    def finish(self) -> str:
        """The text that was waiting, as no more tokens come."""
        return "" if self.ended else self._give(len(self._waiting))

    def _decode(self, token: int) -> str:
        """The characters that this token completes."""
        self._ids = [*self._ids, token]  # a new list: a branch has the old one
        text = self._tokenizer.decode(self._ids)
        self.n_tokens += self.n_tokens > 0 or len(text) > self._n_decoded
        # Half a character decodes to one U+FFFD at the end. Without bytes no token is
        # half of anything.
        if text.endswith(UNKNOWN) and self._tokenizer.kind in ("bpe", "bytes"):
            new = text[self._n_decoded : -1]
            self._n_decoded = len(text) - 1
            return new
        new = text[self._n_decoded :]
        self._keep(self._ids)
        return new

    def _keep(self, ids: Sequence[int] | np.ndarray) -> None:
        """Forget all certain tokens but what the text of the next depends on."""
        self._ids = list(ids[-1:]) if self._tokenizer.looks_back else []
        # How many characters of these tokens, and of those to come, are certain.
        self._n_decoded = len(self._tokenizer.decode(self._ids))

    def _overlap(self) -> int:
        """How many of the last characters may begin a stop text."""
        return max(
            (
                length
                for text in self._stop
                for length in range(1, len(text))
                if self._waiting.endswith(text[:length])
            ),
            default=0,
        )

    def _give(self, n: int) -> str:
        given, self._waiting = self._waiting[:n], self._waiting[n:]
        return given
