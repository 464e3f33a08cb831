"""Evaluation: loss and accuracy on text that the model was not trained on."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from minillm import backend
from minillm.backend import xp
from minillm.models import LanguageModel
from minillm.nn import Module
from minillm.ops import IGNORED
from minillm.tensor import Tensor, no_grad
from minillm.text import Batch

# Logits computed at a time: they never lie in memory whole.
CHUNK = 1 << 20
# With this many tokens, the sampling error is a few percent.
INTERIM_TOKENS = 1 << 15
FIGURES = ("val_loss", "val_perplexity", "val_bits_per_byte", "val_accuracy")


@dataclass(frozen=True)
class Tally:
    """n predictions: the sum of their −log p in nats, and how many were right, in that
    nothing had a larger logit; NaN where that is not known."""

    nats: float = 0.0
    right: float = 0
    n: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.nats + other.nats, self.right + other.right, self.n + other.n)

    @property
    def loss(self) -> float:
        """Nats for each; 0 for none."""
        return self.nats / max(self.n, 1)

    @property
    def accuracy(self) -> float:
        return self.right / max(self.n, 1)


@dataclass(frozen=True)
class Score:
    """How a model predicted the kept targets of a batch, and its labels."""

    tokens: Tally = Tally()
    labels: Tally = Tally()

    def __add__(self, other: "Score") -> "Score":
        return Score(self.tokens + other.tokens, self.labels + other.labels)


def evaluate(model, batch: Batch, size: int) -> Score:
    """Score a batch in parts of `size` sequences."""
    return sum(score_parts(model, batch, size), Score())


def score_parts(
    model, batch: Batch, size: int, every: int = 1, rank: int = 0, n: int = 1
) -> list[Score]:
    """The score of each part of `size` sequences: with `every=8` of every eighth one
    only, and of these, as worker `rank` of `n`, of every n-th."""
    n_parts = math.ceil(len(batch.ids) / size)
    parts = range(0, n_parts, every)[rank::n]
    return [score(model, _trimmed(batch.shard(part, n_parts))) for part in parts]


def _trimmed(batch: Batch) -> Batch:
    if batch.mask is None and batch.source_mask is None:
        return batch
    from minillm.text.padding import trimmed  # opened for texts of several lengths

    return trimmed(batch)


def added_up(of_workers: list[list[Score]], every: int) -> Score:
    """The score of every so many parts of a batch, from the scores that each worker
    has of all its parts (`score_parts`). To the last bit it is what `evaluate(every)`
    of the same workers adds up to."""
    n = len(of_workers)
    parts = [None] * sum(map(len, of_workers))
    for rank, found in enumerate(of_workers):
        parts[rank::n] = found
    shares = (sum(parts[::every][rank::n], Score()) for rank in range(n))
    return sum(shares, Score())


def interim_every(batch: Batch) -> int:
    """Evaluations on the way look at every so many parts: at all of a small validation
    batch, at an eighth of a large one."""
    return max(1, min(8, batch.ids.size // INTERIM_TOKENS))


def score(model, batch: Batch) -> Score:
    """Let a model predict what there is to predict in a batch."""
    if not isinstance(model, LanguageModel):
        return Score(_score_own_model(model, batch))
    where = backend.of(model.tokens.weight.data)
    tokens, labels = Tally(), Tally()
    with backend.running(where), no_grad():
        x = model.read(batch)
        if batch.targets is not None:
            tokens = _score_tokens(model, x, batch.targets.reshape(-1), where)
        if batch.labels is not None:
            logits = model.label_logits(x, batch).data
            found = _score_logits(logits, where.asarray(batch.labels))
            labels = _tally([found], len(logits))
    return Score(tokens, labels)


def _score_tokens(model, x: Tensor, targets, where) -> Tally:
    kept = np.flatnonzero(targets != IGNORED)
    x = x.data.reshape(-1, x.shape[-1])[where.asarray(kept)]
    targets = where.asarray(targets[kept])
    rows = max(1, CHUNK // model.config.vocab_size)
    found = []
    for begin in range(0, kept.size, rows):
        part = slice(begin, begin + rows)
        logits = model.project(Tensor(x[part])).data
        found.append(_score_logits(logits, targets[part]))
    return _tally(found, kept.size)


def _score_own_model(model: Module, batch: Batch) -> Tally:
    """The tokens that a model of one's own predicts; by its loss where it has no
    logits, which does not tell how many are right."""
    from minillm.learning.own_model import (
        device_of,
        gives_logits,
        logits_of,
        loss_of,
    )

    kept = np.flatnonzero(batch.targets != IGNORED)
    with no_grad():
        if not gives_logits(model):
            batch = dataclasses.replace(batch, n_targets=kept.size)
            loss = loss_of(model, batch).item() if kept.size else 0.0
            return Tally(loss * kept.size, math.nan, kept.size)
        logits = logits_of(model, batch.ids).data
    asarray = device_of(model).asarray
    logits = logits.reshape(-1, logits.shape[-1])[asarray(kept)]
    with backend.running(device_of(model)):
        found = _score_logits(logits, asarray(batch.targets.reshape(-1)[kept]))
        return _tally([found], kept.size)


def _tally(found: list, n: int) -> Tally:
    """Of n predictions, from what `_score_logits` found; the one wait for a GPU."""
    if not found:
        return Tally()
    nats, right = backend.to_numpy(sum(found)).tolist()
    return Tally(nats, int(right), n)


def _score_logits(logits, targets):
    """The sum of −log p and how many are right, as (2,) on the device, in float64.

    logits (n, V), which are written over; targets (n,)
    """
    logits -= logits.max(-1, keepdims=True)
    at_target = xp.take_along_axis(logits, targets[:, None], -1)[:, 0]
    # Not by `cross_entropy`, which would keep a second array of this size, the largest
    # there is; and the sum is in float64, over a whole text.
    total = xp.exp(logits, out=logits).sum(-1)
    nats = (xp.log(total) - at_target).sum(dtype=xp.float64)
    return xp.stack([nats, (at_target == 0).sum(dtype=xp.float64)])


def summarise(found: Score, objective: str, bytes_per_token: float | None) -> dict:
    """The figures of an evaluation.

    `val_loss` is what training makes less: nats for each target, for each label, or
    one of each together. Bits per byte compare models of different vocabularies; they
    are None for all but causal models: others read the text around a prediction.
    """
    tokens, labels = found.tokens, found.labels
    if objective == "classify":
        return {
            "val_loss": labels.loss,
            "val_perplexity": None,
            "val_bits_per_byte": None,
            "val_accuracy": labels.accuracy,
        }
    if math.isnan(tokens.right):  # by a loss of one's own, which may be anything
        return {**dict.fromkeys(FIGURES), "val_loss": tokens.loss}
    bits_per_token = tokens.loss / math.log(2)
    result = {
        "val_loss": tokens.loss + labels.loss,
        "val_perplexity": math.exp(min(tokens.loss, 700.0)),
        "val_bits_per_byte": (
            bits_per_token / bytes_per_token
            if objective == "clm" and bytes_per_token
            else None
        ),
        "val_accuracy": tokens.accuracy,
    }
    if objective == "mlm+nsp":
        result["val_next_sentence_accuracy"] = labels.accuracy
    return result
