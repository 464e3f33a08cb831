"""Beam search: look for a likely continuation instead of drawing one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from minillm.errors import UsageError
from minillm.generation.decoder import MOST_ROWS, Decoder
from minillm.generation.text_stream import TextStream


@dataclass(frozen=True)
class Hypothesis:
    """A continuation, the logarithm of its probability after the prompt, and its text
    as far as it is certain, where its `stream` is known."""

    ids: tuple[int, ...]
    log_probability: float
    text: str = ""
    stream: TextStream | None = field(default=None, repr=False, compare=False)

    @property
    def known_by(self) -> tuple[int, ...] | str:
        """What no other one that is found has: its text, or without one its tokens."""
        return self.ids if self.stream is None else self.text

    @property
    def score(self) -> float:
        """Nats per token: by their sum alone a shorter one would always win."""
        return self.log_probability / max(1, len(self.ids))

    def extended(self, token: int, log_probability: float) -> "Hypothesis":
        """With one more token, and its log-probability then."""
        ids = (*self.ids, token)
        if self.stream is None:
            return Hypothesis(ids, log_probability)
        stream = self.stream.branch()
        text = self.text + stream.push(token)
        return Hypothesis(ids, log_probability, text, stream)

    def finished(self) -> "Hypothesis":
        """With the text that was waiting, as no more tokens come."""
        if self.stream is None:
            return self
        stream = self.stream.branch()
        text = self.text + stream.finish()
        return Hypothesis(self.ids, self.log_probability, text, stream)


def beam_search(
    decoder: Decoder,
    *,
    beams: int,
    max_tokens: int,
    n: int = 1,
    ended: Callable[[tuple[int, ...]], bool] = lambda ids: False,
    text: TextStream | None = None,
) -> list[Hypothesis]:
    """The n best continuations found of the one sequence of a decoder, best first, by
    their log-probability per token: fewer where there are not so many.

    At each step, of the 2·beams likeliest one-token extensions, those that are complete
    are put aside and the `beams` likeliest others go on; where so many are complete
    that fewer go on, less likely extensions are looked at. A hypothesis is complete
    when `ended(ids)`, when its text has ended, or at `max_tokens`. Where none ends, one
    beam is greedy decoding; as many beams as there are continuations search them all.
    (The division by the length is that of Wu et al. 2016, equation 14, with alpha = 1.)

    `text` is the stream that the continuations go on with. Where it is given, no two
    that are found have the same text. Raises UsageError for settings out of range.
    """
    if max_tokens < 0:
        raise UsageError(f"max_tokens must be at least 0, got {max_tokens}")
    if beams < 1:
        raise UsageError(f"beams must be at least 1, got {beams}")
    if beams > MOST_ROWS:
        raise UsageError(f"beams must be at most {MOST_ROWS:,}, got {beams}")
    if not 1 <= n <= beams:
        raise UsageError(f"n must be from 1 to the number of beams, {beams}: got {n}")
    live = [Hypothesis((), 0.0, stream=text)]
    complete = []  # the n best of different texts
    for step in range(max_tokens):
        last = step + 1 == max_tokens
        parents, going, done, written = [], [], [], set()
        likeliest = _extensions(live, log_softmax(decoder.logits()))
        for rank, (parent, each) in enumerate(likeliest):
            if rank >= 2 * beams and len(going) == beams:
                break
            if ended(each.ids) or (each.stream is not None and each.stream.ended):
                done.append(each)
            elif len(going) < beams:
                if last:
                    each = each.finished()
                    if each.known_by in written:
                        continue
                    written.add(each.known_by)
                parents.append(parent)
                going.append(each)
        live = going
        complete = _best(complete + done, n)
        if not live or _settled(live, complete, n, max_tokens):
            return complete
        if not last:
            decoder.select(parents)
            decoder.append([each.ids[-1] for each in live])
    return _best(complete + live, n)


def _extensions(
    live: list[Hypothesis], log_p: np.ndarray
) -> Iterator[tuple[int, Hypothesis]]:
    """The extensions by one token, likeliest first, each with its parent's row."""
    total = np.array([each.log_probability for each in live])[:, None] + log_p  # (B, V)
    order = np.argsort(-total, axis=None, kind="stable")
    order = order[np.isfinite(total.flat[order])]  # without what is never written
    for place in order.tolist():
        row, token = divmod(place, total.shape[1])
        yield row, live[row].extended(token, float(total[row, token]))


def _settled(live, complete, n: int, max_tokens: int) -> bool:
    """Whether no live hypothesis can still come among the n best.

    A sum of log-probabilities only falls, so that none can end above what its present
    sum would be worth at the greatest length.
    """
    if len(complete) < n:
        return False
    reachable = max(each.log_probability for each in live) / max_tokens
    return complete[-1].score >= reachable


def _best(found: list[Hypothesis], n: int) -> list[Hypothesis]:
    """The n best of them, of those with one text the best only."""
    best = {}
    for each in sorted(found, key=lambda each: -each.score):
        each = each.finished()
        best.setdefault(each.known_by, each)
    return list(best.values())[:n]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """log(softmax(z)) along the last axis, in float64."""
    # Not the op: these logits are on the host, and −inf where nothing may be written,
    # which debug mode would refuse.
    z = logits.astype(np.float64)
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))
