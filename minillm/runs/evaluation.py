"""A trained model measured: `eval` on a text, its own or another, and its speed."""

import os
import time

import numpy as np

from minillm import backend
from minillm.errors import DataError, UsageError, option
from minillm.learning.config import TrainConfig
from minillm.learning.data import AnyCorpus, encode, lost, read_corpus
from minillm.learning.encoded import (
    LIMIT,
    all_batches,
    bytes_per_token,
    count_tokens,
    named_in_errors,
)
from minillm.learning.evaluate import Score, evaluate, summarise
from minillm.models import GPT, LSTMModel
from minillm.reading import check_file
from minillm.runs.record import IMPORTED
from minillm.runs.run import Run, load_run, refuse_sentence_encoder
from minillm.text import OBJECTIVES


def _own_text(run, kind: str) -> AnyCorpus:
    """The text that a run was trained on. Raises DataError for another one of its name,
    and, without waiting for it, for what is no file. That of the standard library is
    another one in each version of Python."""
    if run.record["status"] == IMPORTED:
        raise UsageError(
            f"{run.path}: holds weights from elsewhere: say with {option('data')} "
            f"what to "
            f"measure it on"
        )
    data, sha256 = run.config.data, run.record["data"]["sha256"]
    if os.path.exists(data) and not os.path.isdir(data):
        check_file(data, os.stat(data))
    corpus = read_corpus(data, kind, known_labels=run.labels)
    if corpus.sha256 != sha256 and data != TrainConfig.data:
        raise DataError(
            f"{data}: is not the text that {run.path} was trained on (another sha256), "
            f"or an earlier minillm read it otherwise: say with {option('data')} what "
            f"to measure "
            f"it on"
        )
    return corpus


def evaluate_run(
    run: Run | str, data: str | None = None, limit: int | None = None, note=None
) -> dict:
    """Evaluate a trained model on the validation part of a corpus, or on all rows of a
    file of them.

    `run` is a run (`load_run`) or the path of one. `data` is a corpus name or a path,
    by default what the run was trained on (and then the rows held out). That must be
    the same text still: the record of somebody else's run may name any file here. All
    of it is looked at, the end too that fills no sequence, which the `val_loss` of
    training leaves out; of more than `limit` tokens about so many, in whole sequences.
    `note(text)` hears how a file was read, what is lost of the text, and where no token
    was hidden.

    Returns `run`, `val_loss` (in the objective's unit), `val_perplexity`,
    `val_bits_per_byte`, `val_accuracy`, `val_tokens` and `val_labels` (those
    predicted), `lost`, the share of the characters that no token stands for, and
    `data`. Raises DataError or UsageError.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"{option('limit', limit)}: must be at least 1 token")
    run = run if isinstance(run, Run) else load_run(run)
    refuse_sentence_encoder(run, "be measured on a text")
    config = run.config
    kind = OBJECTIVES[config.objective].kind
    # A file of rows that is given for this is all for this.
    if data is None:
        corpus = _own_text(run, kind)
    else:
        corpus = read_corpus(data, kind, whole=True, known_labels=run.labels)
    for line in corpus.notes if note else ():
        note(line)
    val = encode(corpus, "val", kind, run.tokenizer, run.labels)
    with named_in_errors(corpus.name):
        batches = all_batches(val, config, run.tokenizer, limit or LIMIT)
    at_a_time = config.sequences_at_a_time(backend.current().numbers_at_a_time)
    found = sum((evaluate(run.model, each, at_a_time) for each in batches), Score())
    if note and not (found.tokens.n or found.labels.n):
        note(f"{corpus.name}: no token was hidden: a loss of 0 says nothing here")
    missing = lost(corpus, "val", kind, run.tokenizer, val)
    if note and (message := missing.note(corpus.name)):
        note(message)
    per_token = None
    if kind == "windows":
        size = len(corpus.val.encode())
        per_token = bytes_per_token(run.tokenizer, size, count_tokens(val), missing)
    return {
        "run": str(run.path),
        **summarise(found, config.objective, per_token),
        "val_tokens": found.tokens.n,
        "val_labels": found.labels.n,
        "lost": missing.share,
        "data": {"name": corpus.name, "sha256": corpus.sha256},
    }


def seconds_per_token(model: GPT | LSTMModel, n: int = 48) -> float:
    """The median time of decoding one token with the cache, batch 1."""
    from minillm.models.next_token import NextToken  # only where something is written

    n = min(n, model.config.context - 1)
    following = NextToken(model, model.new_cache(1))
    seconds = []
    for _ in range(n + 1):
        begun = time.perf_counter()
        following.decode(np.zeros((1, 1), np.int32))
        backend.current().synchronize()
        seconds.append(time.perf_counter() - begun)
    return float(np.median(seconds[1:] or seconds))
