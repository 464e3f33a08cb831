"""How good a model is on text it was not trained on."""

import math

import numpy as np

from minillm import backend
from minillm.backend import xp
from minillm.errors import UsageError
from minillm.ops import IGNORED
from minillm.tensor import no_grad
from minillm.text import OBJECTIVES, Batch, load_corpus, validation_windows
from minillm.training.data import named_in_errors
from minillm.training.streams import VALIDATION

# Validation tokens that the last evaluation of a run looks at, at most.
LIMIT = 262_144
# Logits computed at a time: they never lie in memory whole.
CHUNK = 1 << 20


def validation_batch(
    ids: np.ndarray, context: int, objective: str, tokenizer, limit: int = LIMIT
) -> Batch:
    """What there is to predict in a validation text, about `limit` tokens of it, as one
    batch. Its draws, if any, depend on the text alone: every run meets the same."""
    windows = validation_windows(ids, context, math.ceil(limit / context))
    rng = np.random.default_rng((0, 0, VALIDATION))
    return OBJECTIVES[objective](windows, rng=rng, tokenizer=tokenizer)


def evaluate(
    model, batch: Batch, size: int, *, every: int = 1, rank: int = 0, n: int = 1
) -> np.ndarray:
    """Score a batch in parts of `size` sequences: the sums of `score`, (3,).

    Looks at every so many parts only, and of these, as worker `rank`, at every n-th.
    """
    n_parts = math.ceil(len(batch.ids) / size)
    sums = np.zeros(3)
    for part in range(0, n_parts, every)[rank::n]:
        sums += score(model, batch.shard(part, n_parts))
    return sums


def score(model, batch: Batch) -> tuple[float, int, int]:
    """(Σ −log p(target) in nats, right guesses, targets) over a batch's kept targets.

    A guess is right when no token has a larger logit than the target.
    """
    kept = np.flatnonzero(batch.targets != IGNORED)
    where = backend.of(model.head.data)
    nats, right = 0.0, 0
    with backend.running(where), no_grad():
        x = model.hidden(batch.ids, mask=batch.mask).data
        x = x.reshape(-1, x.shape[-1])[where.asarray(kept)]
        targets = where.asarray(batch.targets.reshape(-1)[kept])
        rows = max(1, CHUNK // len(model.head.data))
        for begin in range(0, kept.size, rows):
            part = slice(begin, begin + rows)
            logits = x[part] @ model.head.data.T
            logits -= logits.max(-1, keepdims=True)
            at_target = xp.take_along_axis(logits, targets[part, None], -1)[:, 0]
            total = xp.exp(logits, out=logits).sum(-1)
            nats += (xp.log(total) - at_target).sum(dtype=xp.float64).item()
            right += (at_target == 0).sum().item()
    return nats, right, kept.size


def summarise(sums, objective: str, bytes_per_token: float) -> dict:
    """The figures of an evaluation from its sums: (nats, right guesses, targets).

    Bits per byte compare models of different vocabularies. They mean nothing for a
    masked model, which reads the text around what it predicts, and are None for it.
    """
    nats, right, n = sums
    loss = nats / max(n, 1)
    bits_per_token = loss / math.log(2)
    return {
        "val_loss": loss,
        "val_perplexity": math.exp(min(loss, 700.0)),
        "val_bits_per_byte": (
            bits_per_token / bytes_per_token if objective == "clm" else None
        ),
        "val_accuracy": right / max(n, 1),
    }


def evaluate_run(run, data: str | None = None, limit: int | None = None) -> dict:
    """Evaluate a trained model on the validation part of a corpus.

    `data` is a corpus name or a path, by default what the run was trained on; `limit`
    bounds the tokens looked at. Returns `val_loss` (nats/token), `val_perplexity`,
    `val_bits_per_byte`, `val_accuracy`, `val_tokens` (those predicted) and `data`.
    Raises DataError or UsageError.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1 token, got {limit}")
    config = run.config
    corpus = load_corpus(config.data if data is None else data)
    ids = run.tokenizer.encode(corpus.val)
    with named_in_errors(corpus.name):
        batch = validation_batch(
            ids, config.context, config.objective, run.tokenizer, limit or LIMIT
        )
    at_a_time = config.sequences_at_a_time(backend.current().numbers_at_a_time)
    sums = evaluate(run.model, batch, at_a_time).tolist()
    bytes_per_token = len(corpus.val.encode()) / len(ids)
    return {
        **summarise(sums, config.objective, bytes_per_token),
        "val_tokens": int(sums[2]),
        "data": {"name": corpus.name, "sha256": corpus.sha256},
    }
