"""How good a model is on text it was not trained on."""

import math

import numpy as np

from minillm import backend
from minillm.backend import xp
from minillm.errors import DataError
from minillm.ops import IGNORED
from minillm.tensor import no_grad
from minillm.text import OBJECTIVES, Batch, load_corpus, validation_windows
from minillm.training.streams import VALIDATION

# Validation tokens that the last evaluation of a run looks at, at most.
LIMIT = 262_144


def score(model, batch: Batch) -> tuple[float, int, int]:
    """(Σ −log p(target) in nats, right guesses, targets) over a batch's kept targets.

    A guess is right when no token has a larger logit than the target.
    """
    where = backend.of(model.head.data)
    with backend.running(where), no_grad():
        logits = model(batch.ids, mask=batch.mask).data
        targets = where.asarray(batch.targets)
        kept = targets != IGNORED
        chosen = xp.where(kept, targets, 0)[..., None]
        largest = logits.max(-1)
        logits -= largest[..., None]
        picked = xp.take_along_axis(logits, chosen, -1)[..., 0]
        xp.exp(logits, out=logits)
        nats = xp.where(kept, xp.log(logits.sum(-1)) - picked, 0).sum(dtype=xp.float64)
        right = ((picked == 0) & kept).sum()
    return nats.item(), right.item(), int((batch.targets != IGNORED).sum())


def summarise(sums, n_bytes: int, n_tokens: int, objective: str) -> dict:
    """The figures of an evaluation from its sums: (nats, right guesses, targets).

    `n_bytes` and `n_tokens` are of the whole validation text. Bits per byte compare
    models of different vocabularies; they mean nothing for a masked model, which reads
    the text that it predicts, and for which they are None.
    """
    nats, right, n = sums
    loss = nats / n if n else 0.0
    per_byte = None
    if objective == "clm":
        per_byte = loss / math.log(2) * n_tokens / n_bytes
    return {
        "val_loss": loss,
        "val_perplexity": math.exp(min(loss, 700.0)),
        "val_bits_per_byte": per_byte,
        "val_accuracy": right / n if n else 0.0,
    }


def evaluate_run(run, data: str | None = None, limit: int | None = None) -> dict:
    """Evaluate a trained model on the validation part of a corpus.

    `data` is a corpus name or a path, by default what the run was trained on; `limit`
    bounds the tokens looked at. Returns `val_loss` (nats/token), `val_perplexity`,
    `val_bits_per_byte`, `val_accuracy`, `val_tokens` and `data`. Raises DataError.
    """
    options = run.record["options"]
    corpus = load_corpus(options["data"] if data is None else data)
    ids = run.tokenizer.encode(corpus.val)
    context = run.model.config.context
    if len(ids) < context + 1:
        raise DataError(
            f"{corpus.name}: its validation part has {len(ids)} tokens, but a context "
            f"of {context} needs at least {context + 1}"
        )
    n_windows = math.ceil((LIMIT if limit is None else limit) / context)
    windows = validation_windows(ids, context, n_windows)
    objective = options["objective"]
    sums = np.zeros(3)
    for i, begin in enumerate(range(0, len(windows), options["batch"])):
        rng = np.random.default_rng((0, i, VALIDATION))
        batch = OBJECTIVES[objective](
            windows[begin : begin + options["batch"]], rng=rng, tokenizer=run.tokenizer
        )
        sums += score(run.model, batch)
    n_bytes = len(corpus.val.encode())
    return {
        **summarise(sums.tolist(), n_bytes, len(ids), objective),
        "val_tokens": int(sums[2]),
        "data": {"name": corpus.name, "sha256": corpus.sha256},
    }
