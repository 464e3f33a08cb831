"""Many texts through a model: those of like length together, so that little is
padding."""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np

from minillm import backend
from minillm.backend.products import threads
from minillm.errors import UsageError
from minillm.learning.config import LEAST_TOKENS
from minillm.models import LanguageModel
from minillm.runs.run import Run
from minillm.tensor import no_grad
from minillm.text import Batch


def encoded(run: Run, texts: Sequence[str]) -> list[np.ndarray]:
    """The ids of each text. Raises UsageError for one of no tokens."""
    ids = run.tokenizer.encode_all(texts)
    for text, each in zip(texts, ids, strict=True):
        if not text.strip() or not len(each):
            raise UsageError(f"{text!r} is an empty text: there is nothing to read")
    return ids


def cut_note(run: Run, texts: Sequence[str]) -> str | None:
    """In words, how many of these texts lose their end, where the model sees one window
    of each; None: it sees all of them."""
    config = run.model.config
    most = run.tokenizer.room(config.context)
    n = sum(len(ids) > most for ids in run.tokenizer.encode_all(texts))
    if not n:
        return None
    return (
        f"the model sees {config.context} tokens at once, and not the end of {n:,} of "
        f"{len(texts):,} texts"
    )


@contextlib.contextmanager
def reading(model: LanguageModel) -> Iterator[None]:
    """Where the model's weights lie, without gradients, on one core: two of them took
    three times as long over models of 2 × 32."""
    where = backend.of(model.tokens.weight.data)
    with backend.running(where), no_grad(), threads(1):
        yield


def batches(
    run: Run, texts: Sequence[np.ndarray]
) -> Iterator[tuple[np.ndarray, Batch]]:
    """Which texts make a batch, and the batch.   (B,), (B, T)

    A text that is longer than the context loses its end.
    """
    config, tokenizer = run.model.config, run.tokenizer
    # A quarter of what a step of training takes at once, whose memory is kept: without
    # that, smaller arrays are 1.4 times as quick.
    most = backend.current().numbers_at_a_time // 4 // config.d_model
    most = max(LEAST_TOKENS, most)
    order = np.argsort([-len(ids) for ids in texts], kind="stable")
    begin = 0
    while begin < len(order):
        longest, _ = tokenizer.frame(texts[order[begin]], room=config.context)
        rows = order[begin : begin + max(1, most // len(longest))]
        yield rows, tokenizer.batch([(texts[r],) for r in rows], room=config.context)
        begin += len(rows)
