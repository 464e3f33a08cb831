"""`topics`: does a text go on, or does another one begin?

    baab. bbaa. aaba.  →  abab. bbba.   it goes on
    baab. bbaa. aaba.  →  fefe. eeff.   this is from elsewhere
    baab. bbaa. aaba.  →  abbb. baba.   from elsewhere too: another text on a and b

Each document has a topic, and each topic two letters of its own, in random order: no
sentence follows from the one before it but for its topic. A model must find out what
each of two texts is about, and compare. A vocabulary is not enough, for the letters of
all topics are equally frequent among what follows and what does not.

Known is the best accuracy. Half of the second texts go on; the others are from another
document, which has the same topic by chance with a probability p. An ideal reader says
"it goes on" where the topic is the same, and is wrong in these cases only: 1 − p/2.
"""

import math
from dataclasses import dataclass
from string import ascii_lowercase as ALPHABET

import numpy as np

from minillm.text.synthetic import rng
from minillm.text.synthetic.recipe import SEED, Toy, parameter

LETTERS = 2  # of a topic
WORD = 4  # letters; a sentence is a word
SENTENCES = 12  # of a document: none gives itself away by its length
# Purposes of the random streams: the topics and the letters of both texts.
TRAIN, VALIDATION = 1, 3


@dataclass(frozen=True)
class Topics(Toy):
    """`documents` on one of `topics` topics each, and a tenth as many to validate."""

    topics: int = parameter(8, 2, len(ALPHABET) // LETTERS)
    documents: int = parameter(8_000, 100, 100_000)
    seed: int = SEED

    name = "topics"
    kind = "documents"
    objective = "mlm+nsp"
    title = "documents of one topic each: does a second text follow the first?"
    example = "topics:topics=4,documents=2000"
    chance = 0.5

    @property
    def entropy(self) -> float:
        """Nats per character, for a reader who sees whole documents."""
        letters = SENTENCES * WORD
        nats = math.log(self.topics) + letters * math.log(LETTERS)
        return nats / (letters + 2 * SENTENCES + 1)

    @property
    def best(self) -> float:
        """Of the documents to validate: another one is any of the others."""
        n = self.documents // 10
        counts = np.bincount(self._topics(VALIDATION, n))
        same = float(counts @ (counts - 1)) / (n * (n - 1))
        return 1 - same / 2

    def texts(self) -> tuple[str, str]:
        """The text to train on and the text to validate."""
        return (
            self._text(TRAIN, self.documents),
            self._text(VALIDATION, self.documents // 10),
        )

    def _topics(self, purpose: int, n: int) -> np.ndarray:
        """The topic of each document."""
        return rng.uniform(self.seed, purpose, n) % self.topics

    def _text(self, purpose: int, n: int) -> str:
        shape = n, SENTENCES, WORD
        drawn = rng.uniform(self.seed, purpose + 1, math.prod(shape)).reshape(shape)
        letters = LETTERS * self._topics(purpose, n)[:, None, None] + drawn % LETTERS
        codes = np.full((n, SENTENCES, WORD + 2), ord(" "), np.uint8)
        codes[:, :, :WORD] = ord("a") + letters
        codes[:, :, WORD] = ord(".")
        codes[:, -1, -1] = ord("\n")
        ends = np.full((n, 1), ord("\n"), np.uint8)  # an empty line
        return np.hstack([codes.reshape(n, -1), ends]).tobytes().decode("ascii")
