"""Sampling: from a model's logits to the next token.

A filter takes logits (V,) and returns logits in which what may not be drawn is -inf.
"""

import math
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from minillm.errors import UsageError


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn. Raises UsageError for a setting out of range.

    The settings act in the order of `probabilities`. A temperature of 0 takes the
    likeliest token. `top_k`, `top_p` and `min_p` leave tokens out: None leaves none
    out. A `repetition_penalty` above 1 makes tokens rarer that have occurred.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self):
        for name, value in vars(self).items():
            kind, what = (Integral, "whole ") if name == "top_k" else (Real, "")
            if value is None and getattr(Sampling, name) is None:
                continue
            if isinstance(value, bool) or not isinstance(value, kind):
                raise UsageError(f"{name} must be a {what}number, got {value!r}")
        if not 0 <= self.temperature < math.inf:
            raise UsageError(
                f"temperature must be at least 0 and finite, got {self.temperature}"
            )
        if self.top_k is not None and self.top_k < 1:
            raise UsageError(f"top_k must be at least 1, got {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UsageError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise UsageError(f"min_p must be from 0 to 1, got {self.min_p}")
        if not 0 < self.repetition_penalty < math.inf:
            raise UsageError(
                f"repetition_penalty must be above 0 and finite, got "
                f"{self.repetition_penalty}"
            )

    def draw(self, logits: np.ndarray, seen, rng: np.random.Generator) -> int:
        """The next token.   logits (V,); `seen`: the ids that have occurred"""
        if self.temperature == 0:
            return int(
                penalise_repetition(logits, seen, self.repetition_penalty).argmax()
            )
        p = self.probabilities(logits, seen)
        return int(rng.choice(len(p), p=p))

    def probabilities(self, logits: np.ndarray, seen=()) -> np.ndarray:
        """What `draw` draws from, at a temperature above 0.   (V,) -> (V,) float64"""
        z = logits.astype(np.float64)
        z = penalise_repetition(z, seen, self.repetition_penalty)
        z = heat(z, self.temperature)
        if self.top_k is not None:
            z = keep_top_k(z, self.top_k)
        if self.top_p is not None:
            z = keep_top_p(z, self.top_p)
        if self.min_p is not None:
            z = keep_min_p(z, self.min_p)
        return softmax(z)


def penalise_repetition(logits: np.ndarray, seen, penalty: float) -> np.ndarray:
    """Divide the logits of the tokens that have occurred (Keskar et al. 2019, section
    4.1). A negative one is multiplied instead: dividing would make it likelier."""
    if penalty == 1 or len(seen) == 0:
        return logits
    tokens = np.unique(seen)
    old = logits[tokens]
    logits = logits.copy()
    logits[tokens] = np.where(old > 0, old / penalty, old * penalty)
    return logits


def heat(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Logits / temperature, with 0 for the largest: softmax gives p^(1/temperature)."""
    # Shifted first: a difference of 0 stays 0 at any temperature.
    with np.errstate(over="ignore"):
        return (logits - logits.max()) / temperature


def keep_top_k(logits: np.ndarray, k: int) -> np.ndarray:
    """The k likeliest tokens only, and what equals the last of them (Fan et al. 2018,
    section 5.4)."""
    if k >= len(logits):
        return logits
    kth = np.partition(logits, -k)[-k]
    return np.where(logits >= kth, logits, -np.inf)


def keep_top_p(logits: np.ndarray, p: float) -> np.ndarray:
    """The nucleus: the fewest likeliest tokens that together have probability p or more
    (Holtzman et al. 2019, section 3.1)."""
    order = np.argsort(-logits, kind="stable")
    likeliest_first = softmax(logits)[order]
    # A token stays as long as those before it fall short of p.
    before = np.cumsum(likeliest_first) - likeliest_first
    kept = order[before < p]
    nucleus = np.full_like(logits, -np.inf)
    nucleus[kept] = logits[kept]
    return nucleus


def keep_min_p(logits: np.ndarray, p: float) -> np.ndarray:
    """The tokens at least p times as likely as the likeliest (Nguyen et al. 2024,
    section 3): few where the model is sure, many where it is not."""
    ratio = np.exp(logits - logits.max())
    return np.where(ratio >= p, logits, -np.inf)


def softmax(logits: np.ndarray) -> np.ndarray:
    """exp(z) / sum(exp(z)).   (..., V) -> (..., V)"""
    # Not the op: these logits are on the host, whatever device the model is on.
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
