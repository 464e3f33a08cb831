"""`copy` and `reverse`: a string of letters, as it is or backwards.

    qhxvm -> qhxvm
    qhxvm -> mvxhq

What a letter is does not matter, only where it stands: a model must learn to look, from
every place of the answer, at the one place of the source that it comes from. `copy`
looks at the same place, `reverse` as far from the end, which depends on the length.

Known is the answer. A string held out is never among those to train on, so that an
ideal model gets all of them right and one that learns by heart none.
"""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from minillm.errors import UsageError
from minillm.text.data_spec import Rows
from minillm.text.synthetic import rng
from minillm.text.synthetic.recipe import SEED, Toy, parameter

LENGTHS, LETTERS = 1, 2  # purposes of the random streams


@dataclass(frozen=True)
class Strings(Toy):
    """`rows` different strings of `shortest` to `longest` of the first `letters` of
    the alphabet, and a tenth as many held out."""

    letters: int = parameter(26, 2, 26)
    shortest: int = parameter(3, 1, 64)
    longest: int = parameter(8, 1, 64)
    rows: int = parameter(20_000, 10, 200_000)
    seed: int = SEED

    kind = "pairs"
    objective = "seq2seq"
    best = 1.0

    def __post_init__(self):
        super().__post_init__()
        if self.shortest > self.longest:
            raise UsageError(
                f"{self.name}: no string has {self.shortest} letters at least and "
                f"{self.longest} at most; it takes shortest ≤ longest"
            )

    @abstractmethod
    def answer(self, source: str) -> str:
        """The target of a source."""

    @property
    def chance(self) -> float:
        return self.letters**-self.shortest / (self.longest - self.shortest + 1)

    def parts(self) -> tuple[Rows, Rows]:
        """Rows to train on, and rows held out."""
        n_held_out = self.rows // 10
        n = self.rows + n_held_out
        # Twice as many as needed, for some are drawn again.
        lengths = rng.uniform(self.seed, LENGTHS, 2 * n)
        lengths = self.shortest + lengths % (self.longest - self.shortest + 1)
        letters = rng.uniform(self.seed, LETTERS, 2 * n * self.longest) % self.letters
        codes = (ord("a") + letters).astype(np.uint8).reshape(2 * n, -1)
        drawn = zip(codes, lengths.tolist(), strict=True)
        sources = dict.fromkeys(
            row[:length].tobytes().decode("ascii") for row, length in drawn
        )
        if len(sources) < n:
            raise UsageError(
                f"{self.name}: {self.rows} rows and {n_held_out} held out are more "
                "than there are different strings; give fewer rows, or more letters"
            )
        rows = [(source, self.answer(source)) for source in list(sources)[:n]]
        return rows[n_held_out:], rows[:n_held_out]


class Copy(Strings):
    name = "copy"
    title = "a string of letters -> the same"
    example = "copy:letters=10,longest=12"

    def answer(self, source: str) -> str:
        return source


class Reverse(Strings):
    name = "reverse"
    title = "a string of letters -> backwards"
    example = "reverse:letters=10,longest=12"

    def answer(self, source: str) -> str:
        return source[::-1]
