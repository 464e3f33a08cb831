"""Random draws that give the same text on every Python, NumPy and processor.

NumPy keeps the raw integers of a BitGenerator the same for ever (NEP 19), but not what
`Generator.choice` or `normal` make of them; and pow and log may differ in their last
digit from one processor to the next. So only raw integers are drawn, and a law is a
table of whole numbers out of 2⁴⁸, made by the four operations, which IEEE 754 rounds
equally everywhere. A law's probabilities are exactly these fractions.
"""

import numpy as np

BITS = 48
WHOLE = 1 << BITS
# Of the series of (1 − x)^s, enough for x = 1/2 in double precision.
SERIES_TERMS = 60


def zipf(n: int, s: float) -> np.ndarray:
    """The law p_k ∝ k^−s of the ranks 1 to n, in parts of 2⁴⁸: (n,) int64."""
    # k^−s = Π (1 − 1/i)^s over i = 2 … k, for (1 − 1/i) = (i − 1)/i.
    x = 1 / np.arange(2, n + 1, dtype=np.float64)
    factor = np.ones(n - 1)
    for j in range(SERIES_TERMS, 0, -1):
        factor = 1 - (s - j + 1) / j * x * factor
    return parts(np.cumprod(np.append(1.0, factor)))


def parts(weights: np.ndarray) -> np.ndarray:
    """Positive weights as parts of 2⁴⁸: (n,) int64. What rounding leaves, the first
    takes."""
    # Whole numbers, for a sum of floats depends on its order, which is the processor's
    # choice; of 42 bits, so that the sum of a million has room in 63.
    whole = (weights / weights.max() * (1 << 42)).astype(np.int64)
    law = (whole / whole.sum() * WHOLE).astype(np.int64)
    law[0] += WHOLE - law.sum()
    return law


def uniform(seed: int, purpose: int, n: int) -> np.ndarray:
    """n whole numbers, uniform below 2⁴⁸: (n,) int64. A longer stream begins with a
    shorter one."""
    raw = np.random.PCG64([seed, purpose]).random_raw(n)
    return (raw >> np.uint64(64 - BITS)).astype(np.int64)


def chosen(law: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The place in a law that each uniform number falls on, counted from 0."""
    return np.searchsorted(np.cumsum(law), numbers, side="right")


def entropy(law: np.ndarray) -> float:
    """−Σ p ln p in nats."""
    p = law[law > 0] / WHOLE
    return float(-(p * np.log(p)).sum())
