"""`facts`: a text whose entropy is known, and which can only be learnt by heart.

    17=42
    3=08

A line is a record: a key and its value. Keys are the ranks of a Zipf law,
p_k ∝ k^−(1+a), drawn anew for each record; the value of a key is drawn once. Whoever
knows all values still has to guess the key, so that a record's entropy is that of its
key, H = −Σ p ln p. An ideal memoriser guesses the values it has not met among V: after
n records it loses H + ln V · Σ p_k (1 − p_k)^n, where the excess falls as n^(−a/(1+a)).
One that has room for N keys loses H + ln V · Σ_{k>N} p_k, which falls as N^−a
(Hutter 2021; Michaud et al. 2023).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minillm.text.synthetic import rng
from minillm.text.synthetic.excess_entropy import excess_entropy
from minillm.text.synthetic.recipe import SEED, KnownText, parameter

TRAIN, VALIDATION, VALUES = 1, 2, 3  # purposes of the random streams
LARGEST_VALIDATION = 200_000  # records


@dataclass(frozen=True)
class Facts(KnownText):
    """Records of `keys` Zipf keys of exponent 1 + `a`, each with one of `values`.

    `records` are for training; a tenth as many, at most 200,000, are for validation.
    The default is for small models: of so few keys, some million characters tell all.
    The exponents above need more keys than the records or the model can exhaust.
    """

    a: float = parameter(0.5, -1.0, 3.0)
    keys: int = parameter(1_000, 2, 1_000_000)
    values: int = parameter(100, 1, 1_000_000_000)
    records: int = parameter(1_700_000, 100, 100_000_000)
    seed: int = SEED

    name = "facts"
    example = "facts:a=0.3,keys=10000,seed=1"

    @property
    def title(self) -> str:
        return f"{self.keys:,} Zipf keys, each with its value, to be learnt by heart"

    @cached_property
    def law(self) -> np.ndarray:
        """P(key) in parts of 2⁴⁸, the most frequent first: (keys,) int64."""
        return rng.zipf(self.keys, 1 + self.a)

    @property
    def value_length(self) -> int:
        """The digits of every value."""
        return len(str(self.values - 1))

    @cached_property
    def lines(self) -> list[str]:
        """The record of each key, with its line end."""
        values = rng.uniform(self.seed, VALUES, self.keys) % self.values
        width = self.value_length
        return [f"{k}={v:0{width}}\n" for k, v in enumerate(values.tolist(), 1)]

    @cached_property
    def entropy_per_record(self) -> float:
        """H in nats: the key's."""
        return rng.entropy(self.law)

    @cached_property
    def characters_per_record(self) -> float:
        """The mean length of a record, with its line end."""
        digits = np.char.str_len(np.arange(1, self.keys + 1).astype(str))
        mean = float(digits @ self.law) / rng.WHOLE
        return mean + self.value_length + 2

    @property
    def characters(self) -> float:
        """The expected length of both texts."""
        return (self.records + self.val_records) * self.characters_per_record

    @property
    def entropy(self) -> float:
        """Nats per character."""
        return self.entropy_per_record / self.characters_per_record

    @cached_property
    def start_cost(self) -> float:
        """Nats that a window loses because it begins inside a record."""
        return excess_entropy(self.lines, self.law[None] / rng.WHOLE, np.ones((1, 1)))

    def excess(self, n: float, known: int | None = None) -> float:
        """Nats per record that the ideal memoriser loses beyond H after n records.

        `known`: how many keys, the most frequent, it has room for (default: all).
        """
        p = self.law / rng.WHOLE
        room = len(p) if known is None else known
        unknown = p[:room] @ np.exp(n * np.log1p(-p[:room])) + p[room:].sum()
        return float(np.log(self.values) * unknown)

    def drawn(self, purpose: int, n: int) -> np.ndarray:
        """The keys of n records, counted from 0: (n,)."""
        return rng.chosen(self.law, rng.uniform(self.seed, purpose, n))

    def texts(self) -> tuple[str, str]:
        """The text to train on and the text to validate."""
        return (
            self._text(TRAIN, self.records),
            self._text(VALIDATION, self.val_records),
        )

    @property
    def val_records(self) -> int:
        return min(max(self.records // 10, 100), LARGEST_VALIDATION)

    def _text(self, purpose: int, n: int) -> str:
        return "".join(map(self.lines.__getitem__, self.drawn(purpose, n).tolist()))
