"""Text of a series: the same for every size, read once by each."""

from minillm.errors import DataError
from minillm.figures import short
from minillm.learning.data import EncodedCorpus, prepare
from minillm.series.ladder import Ladder

UNKNOWN_AT_MOST = 0.02  # of the characters
TOKENS = {"chars": "character", "bytes": "byte"}  # the unit, by the tokenizer


def prepared(
    ladder: Ladder, data: str, objective: str = "clm", arch: str | None = None
) -> tuple[EncodedCorpus, str, int, list[str]]:
    """The text, the kind of its tokenizer, the tokens for each model, and warnings.

    Characters, or bytes where the 97 most frequent characters are too few for a text.
    A text too short for the ladder's tokens gives fewer; DataError where it is too
    short for any law.
    """
    kind = "chars"
    warnings = []
    text = _prepare(ladder, data, kind, objective, arch)
    unknown = text.train_lost.share
    warnings += text.notes
    if unknown > UNKNOWN_AT_MOST:
        kind = "bytes"
        text = _prepare(ladder, data, kind, objective, arch)
        warnings.append(
            f"{text.name} is read by bytes: the 97 most frequent characters would "
            f"leave out {unknown:.0%} of it; losses are nats per byte"
        )
    # One window less than fits: see Windows.
    there = max(0, len(text.train) // ladder.context - 1) * ladder.context
    if there < ladder.least_tokens:
        raise DataError(
            f"{text.name}: {there:,} tokens to train on, but a series needs at least "
            f"{ladder.least_tokens:,}, none read twice: give "
            f"{short(ladder.least_tokens / max(there, 1))} times as much text"
        )
    if there < ladder.tokens:
        warnings.append(
            f"{text.name} has {there:,} tokens to train on: each model reads them "
            f"once, instead of {ladder.tokens:,}"
        )
    return text, kind, ladder.whole_steps(min(there, ladder.tokens)), warnings


def _prepare(
    ladder: Ladder, data: str, kind: str, objective: str, arch
) -> EncodedCorpus:
    config = ladder.config(
        ladder.held_out,
        data=data,
        tokenizer=kind,
        tokens=ladder.tokens,
        seed=0,
        objective=objective,
        arch=arch,
    )
    return prepare(config.resolve())
