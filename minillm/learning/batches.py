"""Batches: from encoded examples to what a model is given, by the objective."""

import contextlib
import math
from collections.abc import Iterator

import numpy as np

from minillm.errors import DataError
from minillm.learning.config import VALIDATION, TrainConfig
from minillm.text import (
    OBJECTIVES,
    Batch,
    Documents,
    Tokenizer,
    all_windows,
    passages,
    spread,
    validation_windows,
)

# About how many validation tokens the last evaluation of a run looks at.
LIMIT = 262_144


def validation_batch(
    val: np.ndarray | Documents | list,
    config: TrainConfig,
    tokenizer: Tokenizer,
    limit: int = LIMIT,
) -> Batch:
    """What there is to predict in the validation part, as one batch: about `limit`
    tokens of it, rounded up to whole sequences. Its draws, if any, do not depend on the
    run's seed: runs of one text, tokenizer and context meet the same."""
    most = math.ceil(limit / config.context)
    if OBJECTIVES[config.objective].kind == "windows":
        examples = validation_windows(val, config.context, most)
    elif isinstance(val, Documents):
        with named_in_errors("the validation part"):
            openings = val.openings()
        examples = passages(val, openings[spread(len(openings), most)])
    else:
        examples = [val[i] for i in spread(len(val), most)]
    return make_batch(config, examples, _validation_draws(), tokenizer)


def all_batches(
    val: np.ndarray | Documents | list,
    config: TrainConfig,
    tokenizer: Tokenizer,
    limit: int = LIMIT,
) -> list[Batch]:
    """All there is to predict in the validation part, with the end of a text that fills
    no window; where that is more than `limit` tokens, about so many of it."""
    if count_tokens(val) > limit or isinstance(val, Documents):
        return [validation_batch(val, config, tokenizer, limit)]
    rng = _validation_draws()
    if isinstance(val, list):
        return [make_batch(config, val, rng, tokenizer)]
    # A causal model reads a token to predict the next one, a masked one reads all.
    if config.objective == "clm":
        windows = all_windows(val, config.context, ahead=1)
    else:
        windows = all_windows(val, tokenizer.room(config.context), ahead=0)
    return [make_batch(config, each, rng, tokenizer) for each in windows]


def _validation_draws() -> np.random.Generator:
    return np.random.default_rng((0, 0, VALIDATION))


def make_batch(config: TrainConfig, examples, rng, tokenizer: Tokenizer) -> Batch:
    """The objective's batch of these examples."""
    options = {"whole_words": True} if config.whole_words else {}
    return OBJECTIVES[config.objective].batch(
        examples, rng=rng, tokenizer=tokenizer, context=config.context, **options
    )


@contextlib.contextmanager
def named_in_errors(name: str) -> Iterator[None]:
    """Put the name of a corpus, or of its part, before what is found wrong with it
    inside the block."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{name}: {error}") from None


def count_tokens(part: np.ndarray | Documents | list) -> int:
    """The tokens of a part; of pairs, those of the targets."""
    if not isinstance(part, list):
        return len(part)
    return sum(map(tokens_of_row, part))


def tokens_of_row(row: tuple) -> int:
    """The tokens of a labelled text, or of the target of a pair."""
    first, second = row
    return len(first) if np.ndim(second) == 0 else len(second)
