"""`lexicon`: a text of words, whose entropy is known.

    ta ren jokul vi mes ta soti

A Markov chain goes from word class to word class; within its class a word is drawn by
its rank, p_r ∝ r^−(1+a). Every word has its own spelling, so that text and words tell
each other, and the classes too. The entropy rate is that of a word over its length:

    [ Σ_c π_c (H(next class | c) + H(word | c)) ] / E[characters per word]

where π is how often each class occurs and a word's length counts its space.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minillm.text.synthetic import rng
from minillm.text.synthetic.excess_entropy import excess_entropy, stationary
from minillm.text.synthetic.recipe import SEED, KnownText, parameter

# Purposes of the random streams: classes and words of both texts, then the language.
TRAIN, VALIDATION, GRAMMAR, SPELLING = 1, 3, 5, 6
LARGEST_VALIDATION = 200_000  # words
CONSONANTS = "bcdfghjklmnprstvwz"
VOWELS = "aeiou"
ENDINGS = ("", "", "n", "r", "s", "l")


@dataclass(frozen=True)
class Lexicon(KnownText):
    """`words` words in `classes` classes, each class twice as large as the one before.

    `length` words are for training; a tenth as many, at most 200,000, for validation.
    The default is for small models: some million characters show every word often.
    """

    a: float = parameter(0.0, -1.0, 3.0)
    classes: int = parameter(8, 2, 12)
    words: int = parameter(500, 50, 200_000)
    length: int = parameter(2_000_000, 100, 100_000_000)
    seed: int = SEED

    name = "lexicon"
    example = "lexicon:words=2000,seed=1"

    @property
    def title(self) -> str:
        return f"{self.words:,} words in a Markov chain of {self.classes} classes"

    @cached_property
    def sizes(self) -> list[int]:
        """How many words each class has."""
        shares = 2**self.classes - 1
        small = [max(1, (self.words << c) // shares) for c in range(self.classes - 1)]
        return [*small, self.words - sum(small)]

    @cached_property
    def moves(self) -> np.ndarray:
        """P(next class | class) in parts of 2⁴⁸: (classes, classes) int64.

        What follows a class is Zipf too, in an order of its own.
        """
        law = rng.zipf(self.classes, 1.0)
        numbers = rng.uniform(self.seed, GRAMMAR, self.classes**2)
        order = numbers.reshape(self.classes, -1).argsort(1, kind="stable")
        return law[order.argsort(1)]

    @cached_property
    def laws(self) -> list[np.ndarray]:
        """P(word | class) in parts of 2⁴⁸, class by class: (size,) int64 each."""
        return [rng.zipf(size, 1 + self.a) for size in self.sizes]

    @cached_property
    def spelled(self) -> list[str]:
        """The words with their space, class by class, the most frequent first.

        A word has as many syllables as its rank has digits: frequent words are short.
        """
        numbers = iter(rng.uniform(self.seed, SPELLING, 20 * self.words).tolist())
        ranks = [rank for size in self.sizes for rank in range(1, size + 1)]
        words: dict[str, None] = {}
        for rank in ranks:
            known = len(words)
            while len(words) == known:
                word = "".join(_syllable(next(numbers)) for _ in str(rank))
                words[word + " "] = None
        return list(words)

    @cached_property
    def characters_per_word(self) -> float:
        """The mean length of a word, with its space."""
        lengths = np.array([len(word) for word in self.spelled])
        return float(self._frequency @ (self._within @ lengths))

    @cached_property
    def entropy_per_word(self) -> float:
        """Nats: of the next class, and of the word in its class."""
        nats = [
            rng.entropy(row) + rng.entropy(law)
            for row, law in zip(self.moves, self.laws, strict=True)
        ]
        return float(self._frequency @ nats)

    @property
    def characters(self) -> float:
        """The expected length of both texts."""
        return (self.length + self.val_length) * self.characters_per_word

    @property
    def entropy(self) -> float:
        """Nats per character."""
        return self.entropy_per_word / self.characters_per_word

    @cached_property
    def start_cost(self) -> float:
        """Nats that a window loses because it begins inside a word."""
        return excess_entropy(self.spelled, self._within, self.moves / rng.WHOLE)

    def drawn(self, purpose: int, n: int) -> np.ndarray:
        """The places in `spelled` of n words: (n,)."""
        classes = self._chain(rng.uniform(self.seed, purpose, n))
        numbers = rng.uniform(self.seed, purpose + 1, n)
        words = np.empty(n, np.int64)
        first = 0
        for c, law in enumerate(self.laws):
            here = classes == c
            words[here] = first + rng.chosen(law, numbers[here])
            first += len(law)
        return words

    def texts(self) -> tuple[str, str]:
        """The text to train on and the text to validate."""
        return self._text(TRAIN, self.length), self._text(VALIDATION, self.val_length)

    @property
    def val_length(self) -> int:
        return min(max(self.length // 10, 100), LARGEST_VALIDATION)

    def _text(self, purpose: int, n: int) -> str:
        words = self.drawn(purpose, n).tolist()
        return "".join(map(self.spelled.__getitem__, words))

    def _chain(self, numbers: np.ndarray) -> np.ndarray:
        """The class of each word: (n,) uint8. Class 0 stands before the first."""
        columns = [rng.chosen(row, numbers) for row in self.moves]
        after = np.stack(columns, 1).astype(np.uint8).tobytes()
        now = 0
        classes = bytearray()
        for row in range(0, len(after), self.classes):
            now = after[row + now]
            classes.append(now)
        return np.frombuffer(classes, np.uint8)

    @cached_property
    def _frequency(self) -> np.ndarray:
        """π: (classes,)."""
        return stationary(self.moves / rng.WHOLE)

    @cached_property
    def _within(self) -> np.ndarray:
        """P(word | class), a row for each class: (classes, words)."""
        rows = np.zeros((self.classes, self.words))
        first = 0
        for row, law in zip(rows, self.laws, strict=True):
            row[first : first + len(law)] = law / rng.WHOLE
            first += len(law)
        return rows


def _syllable(number: int) -> str:
    number, consonant = divmod(number, len(CONSONANTS))
    number, vowel = divmod(number, len(VOWELS))
    return CONSONANTS[consonant] + VOWELS[vowel] + ENDINGS[number % len(ENDINGS)]
