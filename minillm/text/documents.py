"""Documents as sentences, and pairs of what follows each other in one.

A sentence here is what a reader would take for a step: up to the end of a line, or to
a full stop with a space behind it ("e.g. this" is cut as well, which does no harm).
White space stands before a sentence, as it does before a word of byte-level BPE: the
tokens are then those of the whole text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from minillm.errors import DataError
from minillm.text.examples import Shuffled
from minillm.text.tokenizer import Tokenizer

FOLLOWS, ELSEWHERE = 0, 1  # the labels of a pair

# A run of marks is read once, from its beginning and without a way back (`++`): from
# each of its places it would take the square of its length.
_SENTENCE_ENDS = re.compile(
    r"(?<![.!?])[.!?]++[\"')\]’”]*+(?=\s)|[。！？]++[’”」』]*+|(?<=\S)(?=[^\S\n]*\n)"
)


@dataclass(frozen=True)
class Documents:
    """Texts by themselves, each cut into sentences, as token ids.

    `ids` holds all tokens; sentence i is ids[starts[i] : starts[i + 1]], of document
    `document[i]`.
    """

    ids: np.ndarray = field(repr=False)
    starts: np.ndarray = field(repr=False)
    document: np.ndarray = field(repr=False)

    @classmethod
    def encode(cls, texts: Sequence[str], tokenizer: Tokenizer) -> "Documents":
        cut = [sentences(text) for text in texts]
        encoded = tokenizer.encode_all([each for part in cut for each in part])
        document = np.repeat(np.arange(len(cut)), [len(part) for part in cut])
        lengths = np.array([len(ids) for ids in encoded], np.int64)
        some = lengths > 0  # a tokenizer may make nothing of white space
        ids = np.concatenate([np.empty(0, np.int32), *encoded])
        starts = np.append(0, np.cumsum(lengths[some]))
        return cls(ids, starts, document[some])

    def __len__(self) -> int:
        return len(self.ids)

    def openings(self) -> np.ndarray:
        """The sentences that a pair can begin at: those that another one follows in
        their document. Raises DataError for fewer than two documents with such."""
        found = self.followers - 1
        if not found.size or self.document[found[0]] == self.document[found[-1]]:
            raise DataError(
                "next sentences need two documents of two sentences or more: put empty "
                "lines between the documents of a file, or give a folder"
            )
        return found

    @cached_property
    def followers(self) -> np.ndarray:
        """The sentences that follow another one in their document."""
        return 1 + np.flatnonzero(self.document[:-1] == self.document[1:])

    def sentence_ends(self, first: int) -> np.ndarray:
        """Where the sentences from `first` to the end of its document end, in `ids`."""
        last = np.searchsorted(self.document, self.document[first], side="right")
        return self.starts[first + 1 : last + 1]


@dataclass(frozen=True)
class Passage:
    """A place in the documents: the sentence `first`, and those that follow it."""

    documents: Documents
    first: int

    def pair(
        self, room: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """A text, a second one, and whether that FOLLOWS it or is from ELSEWHERE, each
        half of the time: `room` tokens together, or what there is.

        The sentences from `first` on are divided anywhere between two of them; from
        elsewhere means from another document (Devlin et al. 2019, appendix A.2). Both
        kinds of second text are cut where the room ends, so that its length does not
        give its kind away; the end of a short document still may.
        """
        texts = self.documents
        begin = texts.starts[self.first]
        ends = texts.sentence_ends(self.first)
        # The sentences there is room for, and at least two.
        n = max(2, int(np.searchsorted(ends, begin + room, side="right")))
        middle = ends[rng.integers(n - 1)]
        a = texts.ids[begin:middle]
        if len(a) >= room:  # its end, which the second text goes on from
            a = a[len(a) - (room - room // 2) :]
        if rng.random() < 0.5:
            label, start, last = FOLLOWS, middle, ends[-1]
        else:
            other = self._elsewhere(rng)
            label, start = ELSEWHERE, texts.starts[other]
            last = texts.sentence_ends(other)[-1]
        return a, texts.ids[start : min(last, start + room - len(a))], label

    def _elsewhere(self, rng: np.random.Generator) -> int:
        """A sentence of another document. One that follows another there too, for how
        a document begins would give it away."""
        texts = self.documents
        followers = texts.followers
        # How many followers stand before this document, and before the next one.
        mine = texts.document[self.first]
        begin, end = np.searchsorted(
            followers, np.searchsorted(texts.document, [mine, mine + 1])
        )
        drawn = rng.integers(len(followers) - (end - begin))
        return int(followers[drawn if drawn < begin else drawn + end - begin])


class Passages(Shuffled):
    """Every place of the documents that a pair can begin at. Raises DataError."""

    def __init__(self, documents: Documents, seed: int) -> None:
        super().__init__(documents.openings(), seed)
        self._documents = documents

    def at(self, step: int, batch_size: int) -> list[Passage]:
        """The passages of a step."""
        return passages(self._documents, super().at(step, batch_size))


def passages(documents: Documents, openings: Sequence[int]) -> list[Passage]:
    """The passages that begin at these sentences."""
    return [Passage(documents, int(first)) for first in openings]


def sentences(text: str) -> list[str]:
    """A text cut after its sentences; joined, they are the text."""
    ends = [match.end() for match in _SENTENCE_ENDS.finditer(text)]
    if ends and text[ends[-1] :].isspace():
        ends.pop()  # what is left is no sentence
    return [text[a:b] for a, b in pairwise([0, *ends, len(text)]) if b > a]
