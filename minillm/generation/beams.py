"""Beam search: look for a likely continuation instead of drawing one."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minillm.errors import UsageError
from minillm.generation.decoder import MOST_ROWS, Decoder


@dataclass(frozen=True)
class Hypothesis:
    """A continuation, and the logarithm of its probability after the prompt."""

    ids: tuple[int, ...]
    log_probability: float

    @property
    def score(self) -> float:
        """Nats per token: by their sum alone a shorter one would always win."""
        return self.log_probability / max(1, len(self.ids))


def beam_search(
    decoder: Decoder,
    *,
    beams: int,
    max_tokens: int,
    n: int = 1,
    ended: Callable[[tuple[int, ...]], bool] = lambda ids: False,
) -> list[Hypothesis]:
    """The n best continuations found of the one sequence of a decoder, best first, by
    their log-probability per token: fewer where there are not so many.

    At each step, of the 2·beams likeliest one-token extensions, those that are complete
    are put aside and the `beams` likeliest others go on. A hypothesis is complete when
    `ended(ids)`, or at `max_tokens`. Where none ends, one beam is greedy decoding; as
    many beams as there are continuations search them all. (The
    division by the length is that of Wu et al. 2016, equation 14, with alpha = 1.)
    Raises UsageError for settings out of range.
    """
    if max_tokens < 0:
        raise UsageError(f"max_tokens must be at least 0, got {max_tokens}")
    if beams < 1:
        raise UsageError(f"beams must be at least 1, got {beams}")
    if beams > MOST_ROWS:
        raise UsageError(f"beams must be at most {MOST_ROWS:,}, got {beams}")
    if not 1 <= n <= beams:
        raise UsageError(f"n must be from 1 to the number of beams, {beams}: got {n}")
    live = [Hypothesis((), 0.0)]
    complete = []
    for step in range(max_tokens):
        parents, extended = _extend(live, log_softmax(decoder.logits()), 2 * beams)
        done = [ended(each.ids) for each in extended]
        complete += [each for each, over in zip(extended, done, strict=True) if over]
        going = [i for i, over in enumerate(done) if not over][:beams]
        live = [extended[i] for i in going]
        if not live or _settled(live, complete, n, max_tokens):
            return _best(complete, n)
        if step + 1 < max_tokens:
            decoder.select([parents[i] for i in going])
            decoder.append([each.ids[-1] for each in live])
    return _best(complete + live, n)


def _extend(live, log_p: np.ndarray, most: int) -> tuple[list[int], list[Hypothesis]]:
    """The likeliest extensions by one token, best first, each with its parent's row."""
    total = np.array([each.log_probability for each in live])[:, None] + log_p  # (B, V)
    order = np.argsort(-total, axis=None, kind="stable")[:most]
    order = order[np.isfinite(total.flat[order])]  # without what is never written
    parents, tokens = np.unravel_index(order, total.shape)
    extended = [
        Hypothesis((*live[row].ids, int(token)), float(total[row, token]))
        for row, token in zip(parents, tokens, strict=True)
    ]
    return parents.tolist(), extended


def _settled(live, complete, n: int, max_tokens: int) -> bool:
    """Whether no live hypothesis can still come among the n best.

    A sum of log-probabilities only falls, so that none can end above what its present
    sum would be worth at the greatest length.
    """
    if len(complete) < n:
        return False
    reachable = max(each.log_probability for each in live) / max_tokens
    return _best(complete, n)[-1].score >= reachable


def _best(found: list[Hypothesis], n: int) -> list[Hypothesis]:
    return sorted(found, key=lambda each: -each.score)[:n]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """log(softmax(z)) along the last axis, in float64."""
    z = logits.astype(np.float64)
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))
