"""`induction`: what came after this letter the last time?

    ijne abcd abcd ijne ijne abcd abcd
    mang hcld hcld hcld mang hcld mang mang

Each line has a few words of its own, made of random letters, no letter in two of them,
and repeats them in random order. What follows what is new in every line: a model that
counts learns nothing. But when a letter comes again, the next one is determined. Look
back for the last letter, and take what stood after it. The head that does so needs a
layer below it that tells every place what stood before it: an induction head (Olsson
et al. 2022). It forms all of a sudden, and the loss falls with it; a model of one layer
stays behind.

Known is how often an ideal reader is right, and what it loses, in windows that begin
anywhere (`read`).
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from string import ascii_lowercase as ALPHABET

import numpy as np

from minillm.errors import UsageError
from minillm.text.synthetic import rng
from minillm.text.synthetic.recipe import SEED, Toy, parameter

# Of a word. With its space an odd number, so that a word can begin at every place of a
# window of 64 or 128 characters.
LETTERS = 4
# Purposes of the random streams: line ends, choices and words of both texts.
TRAIN, VALIDATION = 1, 4
SAMPLE = 500  # windows for `best` and `floor`


@dataclass(frozen=True)
class Induction(Toy):
    """`size` words in lines of `length` on average, and a tenth as many to validate.

    A line has `words` different ones, of the first `letters` of the alphabet. It may
    end after any of them.
    """

    words: int = parameter(2, 1, 6)
    letters: int = parameter(12, 4, 26)
    length: int = parameter(16, 1, 1_000)
    size: int = parameter(800_000, 1_000, 10_000_000)
    seed: int = SEED

    name = "induction"
    kind = "text"
    objective = "clm"
    title = "lines of a few new words, repeated: look back for what followed"
    example = "induction:words=3,letters=16"

    def __post_init__(self):
        super().__post_init__()
        if self.words * LETTERS > self.letters:
            raise UsageError(
                f"induction: {self.words} words of {LETTERS} letters each need "
                f"{self.words * LETTERS} letters, not {self.letters}"
            )

    @property
    def entropy(self) -> float:
        """Nats per character, for a reader who has seen each line from its start."""
        m, on = self.words, 1 - 1 / self.length
        # A line has `length` words, and after each it ends or goes on.
        nats = self.length * _entropy([1 / self.length, on])
        often = 1.0  # how often the next word follows k different ones, in a line
        for k in range(m + 1):
            often /= 1 - on * k / m
            new = 1 - k / m
            spellings = math.perm(self.letters - LETTERS * k, LETTERS) if new else 1
            nats += often * (_entropy([1 / m] * k + [new]) + new * math.log(spellings))
            often *= on * new
        return nats / (self.length * (LETTERS + 1))

    @property
    def chance(self) -> float:
        return max(LETTERS / self.letters, 1 - 1 / self.length) / (LETTERS + 1)

    def best(self, context: int) -> float:
        """The accuracy of the ideal reader in windows of `context` characters."""
        return _ideal(self, context)[0]

    def floor(self, context: int) -> float:
        """Its loss in them, the least there is: nats per character."""
        return _ideal(self, context)[1]

    def texts(self) -> tuple[str, str]:
        """The text to train on and the text to validate."""
        return self.drawn(TRAIN, self.size), self.drawn(VALIDATION, self.size // 10)

    def drawn(self, purpose: int, n: int) -> str:
        """A text of n words."""
        ends = rng.uniform(self.seed, purpose, n) % self.length == 0
        ends[-1] = True
        line = np.cumsum(ends) - ends  # (n,): the line of each word
        which = rng.uniform(self.seed, purpose + 1, n) % self.words
        numbers = rng.uniform(self.seed, purpose + 2, (line[-1] + 1) * self.letters)
        order = numbers.reshape(-1, self.letters).argsort(1, kind="stable")
        spelled = order[:, : self.words * LETTERS].reshape(-1, self.words, LETTERS)
        codes = np.full((n, LETTERS + 1), ord(" "), np.uint8)
        codes[:, :LETTERS] = ord("a") + spelled[line, which]
        codes[ends, LETTERS] = ord("\n")
        return codes.tobytes().decode("ascii")

    def read(self, window: str) -> Iterator[dict[str, float]]:
        """After each character of a window: the probability of every next one.

        This is the ideal reader. It looks back for what it has seen of a word, and
        takes the letter after it; a new word begins with letters new to the line.
        """
        known: dict[str, str] = {}  # the words seen, by their first letter
        tail = ""  # what is seen of the word that the window cuts
        cut = window[0] not in " \n"
        now = ""  # the letters since the last space
        for character in window:
            if character == "\n":
                known, tail, cut, now = {}, "", False, ""
            elif character == " " and now:
                if cut and len(now) < LETTERS:
                    tail = now
                else:
                    known[now[0]] = now
                    tail = "" if now.endswith(tail) else tail
                cut, now = False, ""
            elif character != " ":
                now += character
            yield self._next(known, tail, cut, now)

    def _next(
        self, known: dict[str, str], tail: str, cut: bool, now: str
    ) -> dict[str, float]:
        """The probability of every next character."""
        seen = {*tail, *now}.union(*known.values())
        unseen = [letter for letter in ALPHABET[: self.letters] if letter not in seen]

        def new(mass: float) -> dict[str, float]:
            return {letter: mass / len(unseen) for letter in unseen if mass}

        unknown = self.words - len(known)
        place = len(now) - (LETTERS - len(tail))  # in the tail, if it is that word
        if cut or len(now) == LETTERS:
            # Of a cut word any number of letters may have been left out.
            over = 1 / (LETTERS - len(now) + 1)
            ends = over / self.length
            return {" ": over - ends, "\n": ends, **new(1 - over)}
        if not now:
            return {**dict.fromkeys(known, 1 / self.words), **new(unknown / self.words)}
        if now[0] in known:
            return {known[now[0]][len(now)]: 1.0}
        if tail and place == 0:
            return {tail[0]: 1 / unknown, **new(1 - 1 / unknown)}
        if tail and place > 0 and now.endswith(tail[:place]):
            return {tail[place]: 1.0}
        return new(1.0)


@cache
def _ideal(task: Induction, context: int) -> tuple[float, float]:
    """How often the ideal reader is right in validation, and what it loses: the mean
    of what it expects itself, which is the same in the mean."""
    text = task.drawn(VALIDATION, SAMPLE * context // LETTERS)
    right = nats = 0.0
    for start in range(0, SAMPLE * context, context):
        for odds in task.read(text[start : start + context]):
            right += max(odds.values())
            nats += _entropy(odds.values())
    return right / (SAMPLE * context), nats / (SAMPLE * context)


def _entropy(odds: Iterable[float]) -> float:
    """−Σ p ln p."""
    return -sum(p * math.log(p) for p in odds if p > 0)
