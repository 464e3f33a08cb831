"""`languages`: in which of two invented languages is a sentence?

    bojo bojo luse rabo sera   north
    jolu sebo rara lujo bose   south

Both languages have the same syllables. Any two of them make a word of one language or
of the other, and each syllable is as frequent in both, in front and behind: no letter
and no syllable tells them apart, only which two stand together. A model must learn the
words by heart, and then count: some words of a sentence are borrowed from the other.

Known is the best accuracy. Of n words, each borrowed with probability b < 1/2, the
majority tells all there is to be told: P(more than n/2 are not borrowed), and a guess
where it is a draw. A model that knows no words is right half of the time.
"""

import math
from dataclasses import dataclass

import numpy as np

from minillm.text.data_spec import Rows
from minillm.text.synthetic import rng
from minillm.text.synthetic.recipe import SEED, Toy, parameter

LABELS = "north", "south"
CONSONANTS, VOWELS = "bdfgjklmnprstvz", "aeiou"
# Purposes of the random streams: the syllables, then of both parts the labels, what is
# borrowed, and the words.
SPELLING, TRAIN, HELD_OUT = 1, 2, 5


@dataclass(frozen=True)
class Languages(Toy):
    """`rows` sentences of `length` words from the pairs of `syllables` syllables, and a
    tenth as many held out; a word is `borrowed` with this probability."""

    syllables: int = parameter(6, 2, 75)
    length: int = parameter(5, 1, 100)
    borrowed: float = parameter(0.2, 0.0, 0.5)
    rows: int = parameter(20_000, 10, 200_000)
    seed: int = SEED

    name = "languages"
    kind = "labels"
    objective = "classify"
    title = "sentences in two invented languages of the same syllables -> which"
    example = "languages:syllables=8,borrowed=0.1"
    chance = 0.5

    @property
    def best(self) -> float:
        n, b = self.length, self.borrowed
        own = [math.comb(n, k) * (1 - b) ** k * b ** (n - k) for k in range(n + 1)]
        draw = own[n // 2] / 2 if n % 2 == 0 else 0.0
        return sum(own[n // 2 + 1 :]) + draw

    @property
    def words(self) -> tuple[list[str], list[str]]:
        """The vocabularies of both languages, of the same size."""
        every = [consonant + vowel for consonant in CONSONANTS for vowel in VOWELS]
        order = rng.uniform(self.seed, SPELLING, len(every)).argsort(kind="stable")
        n = self.syllables
        spelled = [every[i] for i in order[:n]]
        # The second syllable stands so many places behind the first, on a circle. If
        # their number is odd, the words of one distance are in neither language.
        near, far = range(n // 2), range(n // 2, n // 2 * 2)
        return tuple(
            [spelled[i] + spelled[(i + d) % n] for i in range(n) for d in distances]
            for distances in (near, far)
        )

    def parts(self) -> tuple[Rows, Rows]:
        """Rows to train on, and rows held out."""
        return self._rows(TRAIN, self.rows), self._rows(HELD_OUT, self.rows // 10)

    def _rows(self, purpose: int, n: int) -> Rows:
        labels = rng.uniform(self.seed, purpose, n) % 2
        shape = n, self.length
        numbers = rng.uniform(self.seed, purpose + 1, n * self.length).reshape(shape)
        borrowed = numbers < self.borrowed * rng.WHOLE
        vocabularies = np.array(self.words)  # (2, words)
        numbers = rng.uniform(self.seed, purpose + 2, n * self.length).reshape(shape)
        places = numbers % vocabularies.shape[1]
        sentences = vocabularies[labels[:, None] ^ borrowed, places].tolist()
        return [
            (" ".join(sentence), LABELS[label])
            for sentence, label in zip(sentences, labels.tolist(), strict=True)
        ]
