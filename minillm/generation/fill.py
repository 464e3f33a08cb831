"""Filling gaps: what a masked model puts in the place of [MASK]."""

import sys
from dataclasses import dataclass

import numpy as np

from minillm.errors import UsageError
from minillm.generation.sampling import softmax
from minillm.generation.writer import open_writer
from minillm.nn import Module
from minillm.runs.run import Run, refuse_sentence_encoder
from minillm.tensor import no_grad
from minillm.text import MASK, Tokenizer

MASKED = ("mlm", "mlm+nsp")


@dataclass(frozen=True)
class Candidate:
    """A token for a gap: its text (half a character: U+FFFD), id and probability."""

    text: str
    id: int
    probability: float


def fill(
    run: Run | str | Module,
    text: str,
    *,
    top: int = 5,
    tokenizer: Tokenizer | None = None,
) -> list[list[Candidate]]:
    """The `top` likeliest tokens of each [MASK] in a text, the likeliest first.

    `run` is a run (`load_run`) or the path of one, or a model with its `tokenizer`, as
    for `generate`. Several gaps are filled in one pass:
    each probability is that of a token whatever stands in the other gaps (Devlin et al.
    2019, section 3.1). Special tokens are no candidates; of wordpiece, "##" begins one
    that continues the word before it. Raises UsageError for a run that was not trained
    to fill gaps, and for a text without a [MASK] or longer than the context.
    """
    run = open_writer(run, tokenizer, objectives=MASKED, task="fill gaps")
    refuse_sentence_encoder(run, "fill gaps")
    if top < 1:
        raise UsageError(f"top must be at least 1, got {top}")
    ids = encode_with_gaps(run, text)
    context = run.model.config.context
    if len(ids) > context:
        raise UsageError(
            f"the text makes {len(ids)} tokens, and the model sees {context} at once: "
            f"shorten it around the {MASK}"
        )
    with no_grad():
        logits = run.model(ids[None]).numpy()[0]
    gaps = np.flatnonzero(ids == run.tokenizer.specials[MASK])
    return [_candidates(run, softmax(logits[gap].astype(float)), top) for gap in gaps]


def encode_with_gaps(run: Run, text: str) -> np.ndarray:
    """The ids of a text in which [MASK] is one token, framed as the texts were that the
    model learned from: (T,) int32. Raises UsageError for a text without one."""
    if MASK not in text:
        raise UsageError(f"the text has no gap: write {MASK} where a word is missing")
    return run.tokenizer.frame(with_gaps(run.tokenizer, text), room=sys.maxsize)[0]


def with_gaps(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """The ids of a text in which [MASK] is one token, without a frame: (T,) int32."""
    *before, last = text.split(MASK)
    gap = np.array([tokenizer.specials[MASK]], np.int32)
    ids = []
    for part in before:
        part, owed = tokenizer.open_end(part)
        ids.append(tokenizer.encode(part))
        if owed.strip(" "):  # a space is the gap's, as it would be the word's
            ids.append(tokenizer.encode(owed))
        ids.append(gap)
    return np.concatenate([*ids, tokenizer.encode(last)])


def _candidates(run: Run, p: np.ndarray, top: int) -> list[Candidate]:
    ordinary = run.tokenizer.ordinary_ids
    likeliest = ordinary[np.argsort(-p[ordinary], kind="stable")[:top]]
    return [
        Candidate(run.tokenizer.decode([i]), int(i), float(p[i])) for i in likeliest
    ]
