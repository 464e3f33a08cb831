"""Compute-optimal N and D under L(N, D) = E + A/N^alpha + B/D^beta, in closed form.

N parameters, D training tokens, C = 6ND training FLOPs (Hoffmann et al. 2022). Every
function takes numbers, or arrays over the resamples of a fit.
"""

from dataclasses import dataclass

import numpy as np

from minillm.laws.law import LawFit

# After so many repetitions of a corpus another one is worth little (Muennighoff et al.
# 2023, equation 5 and table 1).
REPETITIONS = 15.4
HALVINGS = 100


@dataclass(frozen=True)
class Law:
    """The constants of L(N, D), in nats per token; of L(N) without B and beta."""

    E: float | np.ndarray
    A: float | np.ndarray
    alpha: float | np.ndarray
    B: float | np.ndarray | None = None
    beta: float | np.ndarray | None = None

    @classmethod
    def of(cls, parameters: dict) -> "Law":
        """The law with these parameters by name; E is 0 where it has none."""
        return cls(**{"E": 0.0, **{k: float(v) for k, v in parameters.items()}})

    @classmethod
    def resamples(cls, found: LawFit) -> "Law":
        """The laws of all resamples of a fit at once."""
        columns = found.form.natural(found.resamples.theta).T
        named = dict(zip(found.parameters, columns, strict=True))
        return cls(**{"E": np.zeros(columns.shape[1]), **named})

    @property
    def constants(self) -> dict:
        """{name: value} of the constants that it has."""
        return {name: v for name, v in vars(self).items() if v is not None}

    @property
    def size_exponent(self):
        """n of the compute-optimal N ∝ Cⁿ: beta/(alpha + beta)."""
        return self.beta / (self.alpha + self.beta)

    def loss(self, n, d=None):
        """The loss of n parameters after d tokens."""
        found = self.E + self.A * n**-self.alpha
        return found if self.B is None else found + self.B * d**-self.beta

    def best_for_flops(self, flops):
        """(N, D) of the least loss that 6ND = flops can buy.

        N = G·(C/6)^(beta/(alpha + beta)), D = C/(6N),
        G = (alpha·A/(beta·B))^(1/(alpha + beta)) (Hoffmann et al. 2022, equation 4).
        """
        exponents = self.alpha + self.beta
        g = (self.alpha * self.A / (self.beta * self.B)) ** (1 / exponents)
        n = g * (flops / 6) ** self.size_exponent
        return n, flops / (6 * n)

    def best_for_size(self, n):
        """(N, D) with the D for which N is compute-optimal: alpha·A/N^alpha =
        beta·B/D^beta."""
        ratio = self.beta * self.B / (self.alpha * self.A)
        return n, (ratio * n**self.alpha) ** (1 / self.beta)

    def best_for_loss(self, loss, inference_tokens=0.0):
        """(N, D) that reach a loss with the least FLOPs, 6ND + 2N·inference_tokens.

        Let N leave the share p of the loss above the floor, D the rest: then
        alpha·p/(beta·(1 − p)) = 1 + inference_tokens/(3D) at the optimum (compare
        Sardana et al. 2024). The left side grows with p and the right one falls, so
        halving finds p. NaN where the loss is not above E.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            above = np.where(loss > self.E, loss - self.E, np.nan)
            low = self.size_exponent
            if np.ndim(inference_tokens) == 0 and inference_tokens == 0:
                return self._parts(above, low)
            high = np.ones_like(low)
            for _ in range(HALVINGS):
                p = (low + high) / 2
                _, d = self._parts(above, p)
                odds = self.alpha * p / (self.beta * np.maximum(1 - p, 1e-300))
                too_small = odds < 1 + inference_tokens / (3 * d)
                low = np.where(too_small, p, low)
                high = np.where(too_small, high, p)
            return self._parts(above, low)

    def tokens_for_loss(self, n, loss):
        """D that brings n parameters to a loss; infinite where no D can."""
        left = loss - self.E - self.A * n**-self.alpha
        with np.errstate(divide="ignore"):
            return (self.B / np.maximum(left, 0.0)) ** (1 / self.beta)

    def size_for_loss(self, loss):
        """N that reaches a loss under L(N); NaN where the loss is not above E."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return (self.A / np.where(loss > self.E, loss - self.E, np.nan)) ** (
                1 / self.alpha
            )

    def _parts(self, above, p):
        """(N, D) that leave the shares p and 1 − p of the loss above the floor."""
        n = (self.A / (p * above)) ** (1 / self.alpha)
        return n, (self.B / ((1 - p) * above)) ** (1 / self.beta)


def effective_tokens(tokens: float, unique: float) -> float:
    """The number of fresh tokens that `tokens` of a corpus of `unique` ones equal.

    With e = tokens/unique epochs, unique·(1 + R(1 − exp(−(e − 1)/R))), R = 15.4
    (Muennighoff et al. 2023, equation 5): L(N, D) takes that as D.
    """
    repetitions = max(0.0, tokens / unique - 1)
    worth = REPETITIONS * -np.expm1(-repetitions / REPETITIONS)
    return float(unique * (min(1.0, tokens / unique) + worth))


def tokens_to_be_worth(effective: float, unique: float) -> float | None:
    """The training tokens that equal `effective` fresh ones, the inverse of
    `effective_tokens`. None where no number of epochs does."""
    share = max(0.0, effective / unique - 1) / REPETITIONS
    if share >= 1:
        return None
    epochs = 1 - REPETITIONS * np.log1p(-share)
    return float(effective if effective <= unique else unique * epochs)
