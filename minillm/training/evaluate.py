"""How good a model is on text it was not trained on."""

import math

import numpy as np

from minillm import backend
from minillm.backend import xp
from minillm.errors import UsageError
from minillm.ops import IGNORED
from minillm.tensor import Tensor, no_grad
from minillm.text import OBJECTIVES, Batch
from minillm.training.data import (
    LIMIT,
    bytes_per_token,
    count_tokens,
    encode,
    load,
    named_in_errors,
    validation_batch,
)

# Logits computed at a time: they never lie in memory whole.
CHUNK = 1 << 20


def evaluate(
    model, batch: Batch, size: int, *, every: int = 1, rank: int = 0, n: int = 1
) -> np.ndarray:
    """Score a batch in parts of `size` sequences: the sums of `score`, (6,).

    Looks at every so many parts only, and of these, as worker `rank`, at every n-th.
    """
    n_parts = math.ceil(len(batch.ids) / size)
    sums = np.zeros(6)
    for part in range(0, n_parts, every)[rank::n]:
        sums += score(model, batch.shard(part, n_parts).trimmed())
    return sums


def score(model, batch: Batch) -> np.ndarray:
    """Σ −log p in nats, right guesses, and how many there were: of a batch's kept
    targets, then of its labels.   (6,)

    A guess is right when nothing has a larger logit.
    """
    where = backend.of(model.tokens.weight.data)
    with backend.running(where), no_grad():
        x = model.read(batch)
        sums = np.zeros(6)
        if batch.targets is not None:
            sums[:3] = _score_tokens(model, x, batch.targets.reshape(-1), where)
        if batch.labels is not None:
            logits = model.label_logits(x, batch).data
            sums[3:] = *_score_logits(logits, where.asarray(batch.labels)), len(logits)
    return sums


def _score_tokens(model, x: Tensor, targets, where) -> tuple[float, int, int]:
    kept = np.flatnonzero(targets != IGNORED)
    x = x.data.reshape(-1, x.shape[-1])[where.asarray(kept)]
    targets = where.asarray(targets[kept])
    rows = max(1, CHUNK // model.config.vocab_size)
    nats, right = 0.0, 0
    for begin in range(0, kept.size, rows):
        part = slice(begin, begin + rows)
        logits = model.project(Tensor(x[part])).data
        more = _score_logits(logits, targets[part])
        nats, right = nats + more[0], right + more[1]
    return nats, right, kept.size


def _score_logits(logits, targets) -> tuple[float, int]:
    """(Σ −log p(target), right guesses).   (n, V), (n,)"""
    logits = logits - logits.max(-1, keepdims=True)
    at_target = xp.take_along_axis(logits, targets[:, None], -1)[:, 0]
    total = xp.exp(logits, out=logits).sum(-1)
    nats = (xp.log(total) - at_target).sum(dtype=xp.float64).item()
    return nats, (at_target == 0).sum().item()


def summarise(sums, objective: str, bytes_per_token: float | None) -> dict:
    """The figures of an evaluation from the sums of `score`.

    `val_loss` is what training makes less: nats for each target, for each label, or
    one of each together. Bits per byte compare models of different vocabularies; they
    are None but for causal models, as others read the text around what they predict.
    """
    token_loss, token_accuracy = _means(*sums[:3])
    label_loss, label_accuracy = _means(*sums[3:])
    if objective == "classify":
        return {
            "val_loss": label_loss,
            "val_perplexity": None,
            "val_bits_per_byte": None,
            "val_accuracy": label_accuracy,
        }
    bits_per_token = token_loss / math.log(2)
    result = {
        "val_loss": token_loss + label_loss,
        "val_perplexity": math.exp(min(token_loss, 700.0)),
        "val_bits_per_byte": (
            bits_per_token / bytes_per_token
            if objective == "clm" and bytes_per_token
            else None
        ),
        "val_accuracy": token_accuracy,
    }
    if objective == "mlm+nsp":
        result["val_next_sentence_accuracy"] = label_accuracy
    return result


def _means(nats: float, right: float, n: float) -> tuple[float, float]:
    return nats / max(n, 1), right / max(n, 1)


def evaluate_run(run, data: str | None = None, limit: int | None = None) -> dict:
    """Evaluate a trained model on the validation part of a corpus, or on all rows of a
    file of them.

    `data` is a corpus name or a path, by default what the run was trained on (and then
    the rows held out); `limit` is about how many tokens to look at, rounded up to whole
    sequences. Returns `run`, `val_loss` (in the objective's unit), `val_perplexity`,
    `val_bits_per_byte`, `val_accuracy`, `val_tokens` and `val_labels` (those
    predicted) and `data`. Raises DataError or UsageError.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1 token, got {limit}")
    config = run.config
    kind = OBJECTIVES[config.objective].kind
    # A file of rows that is given for this is all for this.
    corpus = load(config.data if data is None else data, kind, whole=bool(data))
    val = encode(corpus, "val", kind, run.tokenizer, run.labels)
    with named_in_errors(corpus.name):
        batch = validation_batch(val, config, run.tokenizer, limit or LIMIT)
    at_a_time = config.sequences_at_a_time(backend.current().numbers_at_a_time)
    sums = evaluate(run.model, batch, at_a_time).tolist()
    per_token = None
    if kind == "windows":
        size = len(corpus.val.encode())
        per_token = bytes_per_token(run.tokenizer, size, count_tokens(val))
    return {
        "run": str(run.path),
        **summarise(sums, config.objective, per_token),
        "val_tokens": int(sums[2]),
        "val_labels": int(sums[5]),
        "data": {"name": corpus.name, "sha256": corpus.sha256},
    }
