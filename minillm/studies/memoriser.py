"""Memoriser: a table of counts, a model whose scaling law is known exactly.

On `facts` the laws of an ideal memoriser are sums (`minillm/text/synthetic/facts.py`).
A table of counts is nearly ideal and trains at once, so a series of such tables
calibrates the fits.
"""

import numpy as np

from minillm.text.synthetic import rng
from minillm.text.synthetic.facts import Facts


def memoriser_loss(facts: Facts, drawn: np.ndarray, room: int) -> float:
    """The loss, in nats per record, of a table that was filled from drawn keys (n,).

    The table knows how often each key occurs (this costs H), and the values of the
    `room` keys that it met most often; any other value it guesses.
    """
    counts = np.bincount(drawn, minlength=facts.keys)
    kept = np.flatnonzero(counts > 0)
    if len(kept) > room:
        kept = kept[np.argsort(-counts[kept], kind="stable")[:room]]
    unknown = 1 - facts.law[kept].sum() / rng.WHOLE
    return facts.entropy_per_record + np.log(facts.values) * unknown


def memoriser_series(
    facts: Facts, rooms: np.ndarray, records: np.ndarray, samples: int = 1
) -> np.ndarray:
    """The losses of tables, by room for keys and by number of records: (r, n).

    rooms: (r,). records: (n,). Each loss is the mean over `samples` texts.
    """
    losses = np.zeros((len(rooms), len(records)))
    for sample in range(samples):
        # A stream of its own, which no text of this corpus has.
        keys = facts.drawn(100 + sample, int(max(records)))
        losses += [[memoriser_loss(facts, keys[:n], r) for n in records] for r in rooms]
    return losses / samples


def slope(x: np.ndarray, excess: np.ndarray) -> float:
    """The exponent α of an excess that falls like x^−α: the slope of its logarithm."""
    return float(-np.polyfit(np.log(x), np.log(excess), 1)[0])
