"""Texts as batches: those of like length together, so that little is padding."""

from collections.abc import Iterator, Sequence

import numpy as np

from minillm import backend
from minillm.errors import UsageError
from minillm.text import Framed, Tokenizer
from minillm.training.config import LEAST_TOKENS
from minillm.training.run_folder.run import Run


def encoded(run: Run, texts: Sequence[str]) -> list[np.ndarray]:
    """The ids of each text. Raises UsageError for one of no tokens."""
    ids = run.tokenizer.encode_all(texts)
    for text, each in zip(texts, ids, strict=True):
        if not text.strip() or not len(each):
            raise UsageError(f"{text!r}: an empty text, of which nothing can be said")
    return ids


def batches(
    texts: Sequence[np.ndarray], tokenizer: Tokenizer, *, context: int, width: int
) -> Iterator[tuple[np.ndarray, Framed]]:
    """Which texts make a batch, and these, framed and padded.   (B,), (B, T)

    A batch has as many tokens as a step of training takes at once. A text that is
    longer than the context loses its end.
    """
    most = max(LEAST_TOKENS, backend.current().numbers_at_a_time // width)
    order = np.argsort([-len(ids) for ids in texts], kind="stable")
    begin = 0
    while begin < len(order):
        longest = tokenizer.frame(texts[order[begin]], room=context)[0]
        rows = order[begin : begin + max(1, most // len(longest))]
        framed = [tokenizer.frame(texts[row], room=context) for row in rows]
        yield rows, tokenizer.pad(framed)
        begin += len(rows)
