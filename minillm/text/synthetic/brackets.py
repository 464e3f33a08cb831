"""`brackets`: the partner of a bracket tells what it is.

    ([]{})[{}]({[]()})()
    {}[([]{()})]{}({})[]

Each line is a balanced string of several kinds of brackets, all such strings equally
likely. A model that has to restore a hidden bracket must find its partner: count depth
up and down to it, past everything that opens and closes between them.

A single hidden bracket is determined by the rest of its line: opening or closing by the
balance, its kind by its partner. If that is hidden too, the kind is a guess. What an
ideal reader knows is computed exactly (`from_the_rest`: the inside–outside algorithm,
Baker 1979, for S → ε | ( S ) S of every kind), and from it the accuracy that the masked
objective allows. The entropy of a line is ln(Catalan number of its pairs) + pairs ·
ln(kinds).

What counts is the distance, not the place: with `--positions sinusoidal` a model learns
this far sooner.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from minillm.text.objectives import EXCHANGED, HIDDEN, MASKED_SHARE, UNCHANGED
from minillm.text.synthetic import rng
from minillm.text.synthetic.recipe import SEED, Toy, parameter

OPEN, CLOSE = "([{<", ")]}>"
# Purposes of the random streams: shapes and kinds of both texts, hiding for `best`.
TRAIN, VALIDATION, HIDING = 1, 3, 5
SAMPLE = 2_000  # lines for `best`


@dataclass(frozen=True)
class Brackets(Toy):
    """`lines` of `pairs` pairs of `kinds` kinds; a tenth as many for validation."""

    kinds: int = parameter(2, 1, 4)
    pairs: int = parameter(4, 1, 50)
    lines: int = parameter(300_000, 100, 1_000_000)
    seed: int = SEED

    name = "brackets"
    kind = "text"
    objective = "mlm"
    example = "brackets:kinds=4,pairs=10"

    @property
    def title(self) -> str:
        return f"balanced brackets of {self.kinds} kinds: restore the hidden ones"

    @property
    def symbols(self) -> str:
        """Every bracket, those that open first."""
        return OPEN[: self.kinds] + CLOSE[: self.kinds]

    @property
    def width(self) -> int:
        """The brackets of a line."""
        return 2 * self.pairs

    @property
    def entropy(self) -> float:
        """Nats per character, for a reader who sees whole lines."""
        shapes = math.comb(self.width, self.pairs) // (self.pairs + 1)
        nats = math.log(shapes) + self.pairs * math.log(self.kinds)
        return nats / (self.width + 1)

    @property
    def chance(self) -> float:
        return max(self.pairs / self.kinds, 1) / (self.width + 1)

    def best(self, context: int) -> float:
        """The accuracy of the ideal reader at what the masked objective has chosen, in
        windows of `context` characters, with a vocabulary of the text's own."""
        return _ideal(self, context)[0]

    def floor(self, context: int) -> float:
        """Its loss there, the least there is: nats per character chosen."""
        return _ideal(self, context)[1]

    def texts(self) -> tuple[str, str]:
        """The text to train on and the text to validate."""
        return self._text(TRAIN, self.lines), self._text(VALIDATION, self.lines // 10)

    def _text(self, purpose: int, n: int) -> str:
        codes = np.full((n, self.width + 1), ord("\n"), np.uint8)
        alphabet = np.frombuffer(self.symbols.encode("ascii"), np.uint8)
        codes[:, :-1] = alphabet[self.drawn(purpose, n)]
        return codes.tobytes().decode("ascii")

    def drawn(self, purpose: int, n: int) -> np.ndarray:
        """n lines as places in `symbols`: (n, width) uint8.

        With r brackets to come at depth d, (d + 2)(r − d) / 2r(d + 1) of the balanced
        endings open another one (Arnold and Sleep 1980).
        """
        shape = rng.uniform(self.seed, purpose, n * self.width).reshape(n, -1)
        kinds = rng.uniform(self.seed, purpose + 1, n * self.pairs) % self.kinds
        kinds = kinds.reshape(n, -1)
        lines = np.empty((n, self.width), np.uint8)
        stack = np.zeros((n, self.pairs + 1), np.uint8)
        rows = np.arange(n)
        depth, opened = np.zeros((2, n), np.int64)
        for place in range(self.width):
            r = self.width - place
            opens = shape[:, place] * (2 * r * (depth + 1)) < (
                (depth + 2) * (r - depth) << rng.BITS
            )
            new = kinds[rows, np.minimum(opened, self.pairs - 1)]
            lines[:, place] = np.where(
                opens, new, self.kinds + stack[rows, np.maximum(depth - 1, 0)]
            )
            stack[rows[opens], depth[opens]] = new[opens]
            depth += np.where(opens, 1, -1)
            opened += opens
        return lines


@cache
def _ideal(task: Brackets, context: int) -> tuple[float, float]:
    """How sure the ideal reader is of what was chosen in a sample, and what it loses:
    the mean of what it expects itself, which is the same in the mean."""
    truth = task.drawn(VALIDATION, SAMPLE)
    n_symbols = len(task.symbols)
    vocabulary = n_symbols + 2  # also the line end, and the one for the unknown
    hidden = n_symbols  # what is no bracket tells no more than [MASK]
    chosen, fate, other = (
        rng.uniform(task.seed, HIDING + i, truth.size).reshape(truth.shape)
        for i in range(3)
    )
    chosen, fate = chosen / rng.WHOLE < MASKED_SHARE, fate / rng.WHOLE
    random = np.minimum(other % vocabulary, hidden)
    shown = np.where(chosen & (fate < HIDDEN), hidden, truth)
    exchanged = chosen & (fate >= HIDDEN) & (fate < HIDDEN + EXCHANGED)
    shown = np.where(exchanged, random, shown)

    # A window cuts lines: what is outside of it is hidden too.
    size = task.width + 1
    cuts = np.union1d(*(np.arange(0, SAMPLE * size, step) for step in (size, context)))
    line, first = np.divmod(cuts, size)
    last = first + np.diff(cuts, append=SAMPLE * size)
    place = np.arange(task.width)
    inside = (place >= first[:, None]) & (place < last[:, None])  # (pieces, width)
    shown = np.where(inside, shown[line], hidden)

    def likelihood(kept: float, replaced: float) -> np.ndarray:
        """P(what is shown | each bracket): (pieces, width, symbols)."""
        table = np.full((n_symbols + 1, n_symbols), replaced / vocabulary)
        table[:-1] += kept * np.eye(n_symbols)
        table[hidden] = 1.0
        return table[shown]

    as_it_is = 1 - MASKED_SHARE + MASKED_SHARE * UNCHANGED
    rest = from_the_rest(likelihood(as_it_is, MASKED_SHARE * EXCHANGED))
    odds = (rest * likelihood(UNCHANGED, EXCHANGED))[inside & chosen[line]]
    odds /= odds.sum(1, keepdims=True)
    sure = odds.max(1).mean()
    nats = -(odds * np.log(np.where(odds > 0, odds, 1.0))).sum(1).mean()
    # It knows where lines end: all lines are of one length.
    return float(task.width * sure + 1) / size, float(task.width * nats) / size


def from_the_rest(seen: np.ndarray) -> np.ndarray:
    """What all other places of a line say about each: (B, n, 2K) -> (B, n, 2K).

    seen[b, i, s]: how likely what is seen at place i would be if bracket s stood there;
    the K that open come first, then those that close them. The result is in proportion
    to P(bracket s at i | all that is seen elsewhere). 0 where it cannot be.
    """
    n_lines, n, n_symbols = seen.shape
    opening, closing = seen[:, :, : n_symbols // 2], seen[:, :, n_symbols // 2 :]
    pair = opening @ closing.swapaxes(1, 2)  # (B, n, n): a pair of any kind at i and k
    inside = np.zeros((n_lines, n + 1, n + 1))  # the weight of all S from i up to j
    inside[:, range(n + 1), range(n + 1)] = 1.0
    spans = [(i, i + size) for size in range(2, n + 1, 2) for i in range(n + 1 - size)]
    for i, j in spans:
        k = np.arange(i + 1, j, 2)
        inside[:, i, j] = (
            pair[:, i, k] * inside[:, i + 1, k] * inside[:, k + 1, j]
        ).sum(1)
    outside = np.zeros_like(inside)  # ... and of all that may stand around it
    outside[:, 0, n] = 1.0
    around = np.zeros_like(pair)  # ... and around and within a pair
    for i, j in reversed(spans):
        k = np.arange(i + 1, j, 2)
        here = outside[:, i, j, None]
        outside[:, i + 1, k] += here * pair[:, i, k] * inside[:, k + 1, j]
        outside[:, k + 1, j] += here * pair[:, i, k] * inside[:, i + 1, k]
        around[:, i, k] += here * inside[:, i + 1, k] * inside[:, k + 1, j]
    return np.concatenate([around @ closing, around.swapaxes(1, 2) @ opening], axis=2)
