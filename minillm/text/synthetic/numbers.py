"""`numbers`: a number in English words -> in digits, or the other way round.

    four hundred and seven -> 407
    one thousand and twelve -> 1012

A small translation with a grammar of its own: words say a digit and its place ("seven
hundred"), "-teen" and "-ty" differ by a place, and a place that no word names is a 0. A
model that has understood this reads numbers that it has never seen, in which every word
is known and only their combination is new.

Known is the answer. A tenth of the numbers is held out; an ideal model gets all right.
"""

from dataclasses import dataclass

from minillm.text.data_spec import Rows
from minillm.text.synthetic import rng
from minillm.text.synthetic.recipe import SEED, Toy, parameter

ORDER = 1  # the purpose of the random stream
ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"]
TEENS += ["seventeen", "eighteen", "nineteen"]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


@dataclass(frozen=True)
class Numbers(Toy):
    """The numbers below `below`, from words to digits, or with `to_words=1` back."""

    below: int = parameter(1_000, 20, 10_000)
    to_words: int = parameter(0, 0, 1)
    seed: int = SEED

    name = "numbers"
    kind = "pairs"
    objective = "seq2seq"
    best = 1.0
    example = "numbers:below=10000,to_words=1"

    @property
    def title(self) -> str:
        return "digits -> English words" if self.to_words else "English words -> digits"

    @property
    def chance(self) -> float:
        return 1 / self.below

    def parts(self) -> tuple[Rows, Rows]:
        """Rows to train on, and rows held out."""
        order = rng.uniform(self.seed, ORDER, self.below).argsort(kind="stable")
        rows = [(words(n), str(n)) for n in order.tolist()]
        if self.to_words:
            rows = [(digits, text) for text, digits in rows]
        n_held_out = self.below // 10
        return rows[n_held_out:], rows[:n_held_out]


def words(n: int) -> str:
    """A number below 10,000 as it is said in English: 407, four hundred and seven."""
    if n < 20:
        return [*ONES, *TEENS][n]
    if n < 100:
        tens, ones = divmod(n, 10)
        return TENS[tens - 2] + (f"-{ONES[ones]}" if ones else "")
    name, unit = ("thousand", 1_000) if n >= 1_000 else ("hundred", 100)
    count, rest = divmod(n, unit)
    joint = " and " if rest < 100 else " "
    return f"{ONES[count]} {name}" + (joint + words(rest) if rest else "")
