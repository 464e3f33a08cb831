"""A corpus as token ids, and what is made of it: the examples of a step, batches."""

import contextlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from minillm import text
from minillm.errors import DataError, option
from minillm.learning.config import VALIDATION, TrainConfig
from minillm.text import (
    OBJECTIVES,
    Batch,
    Lost,
    Shuffled,
    Tokenizer,
    Windows,
    spread,
    validation_windows,
)
from minillm.text.tokenizer.base import NOTHING

# A part of a corpus as ids, by the objective: those of a text (T,), documents, or rows.
# `text.Documents` and `text.passages` are in a file that is opened for them alone.
Part: TypeAlias = "np.ndarray | text.Documents | list"
OFTEN = 20  # epochs
# Letters; Chinese has no spaces, and a clause of it may be long.
WORD, NO_WORD = re.compile(r"[^\W\d_]{1,12} ?"), re.compile(r"[^\s\ufffd]{1,12}")
SEARCHED = 256  # tokens
# About how many validation tokens the last evaluation of a run looks at.
LIMIT = 262_144


@dataclass(frozen=True)
class EncodedCorpus:
    """A corpus as token ids: what a run takes its examples from.

    `train_tokens` and `val_tokens` count the tokens in `train` and `val` that are
    predicted from.
    `labels` are the classes of labelled texts. Sizes are in UTF-8 bytes; `entropy` is
    in nats per character, None where it is not known. `val_bytes` is 0 for rows.
    `notes` say in words how files were read, where that is not plain; `train_lost` and
    `val_lost` are what no token of either part stands for.
    """

    name: str
    sha256: str
    n_bytes: int
    note: str
    val_bytes: int
    tokenizer: Tokenizer
    train: Part = field(repr=False)
    val: Part = field(repr=False)
    entropy: float | None = None
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    train_lost: Lost = NOTHING
    val_lost: Lost = NOTHING

    @property
    def train_tokens(self) -> int:
        return count_tokens(self.train)

    @property
    def val_tokens(self) -> int:
        return count_tokens(self.val)

    @property
    def bytes_per_token(self) -> float | None:
        """UTF-8 bytes per token of the validation part; None where some bytes are of no
        token."""
        return bytes_per_token(
            self.tokenizer, self.val_bytes, self.val_tokens, self.val_lost
        )

    def tokens_per_step(self, config: TrainConfig) -> float:
        """The tokens that a step takes in, on the average: of rows with their special
        tokens and without padding, and of pairs those of the targets."""
        if not isinstance(self.train, list):
            return config.tokens_per_step
        room = self.tokenizer.room(config.context)
        lengths = np.fromiter(map(tokens_of_row, self.train), np.int64)
        mean = float(np.minimum(lengths, room).mean())
        return config.batch * (mean + config.context - room)

    def sampler(self, config: TrainConfig) -> Shuffled:
        """What the steps of a run take their examples from."""
        with named_in_errors(self.name):
            match OBJECTIVES[config.objective].kind:
                case "windows":
                    return Windows(self.train, config.context, config.seed)
                case "passages":
                    with named_in_errors("the training part"):
                        return text.Passages(self.train, config.seed)
            return Shuffled(self.train, config.seed)

    def validation(self, config: TrainConfig) -> Batch:
        """What there is to predict in the validation part, as one batch."""
        with named_in_errors(self.name):
            return validation_batch(self.val, config, self.tokenizer)

    @property
    def beginning(self) -> str | None:
        """A word at the beginning of the part to validate, with the space behind it, or
        what it has for words: a prompt to try. None for rows."""
        if isinstance(self.val, list):
            return None
        ids = getattr(self.val, "ids", self.val)
        told = self.tokenizer.decode(ids[:SEARCHED])
        found = WORD.search(told) or NO_WORD.search(told)
        return found and found[0]

    def epochs(self, config: TrainConfig) -> float:
        """How often the steps of a run go over the training part."""
        if isinstance(self.train, list):  # whose rows have tokens of the template too
            return config.steps * config.batch / len(self.train)
        return config.steps * self.tokens_per_step(config) / self.train_tokens

    def repeated(self, config: TrainConfig) -> str | None:
        """In words, that the steps go over a text, not of rows, too often."""
        epochs = self.epochs(config)
        if isinstance(self.train, list) or epochs <= OFTEN:
            return None
        return (
            f"the steps go {epochs:.0f} times over the same text: where a model learns "
            f"it by heart, its validation loss rises; give fewer {option('steps')} or "
            f"more text"
        )

    def cut(self, context: int) -> str | None:
        """In words, how many rows are longer than what a model of this context sees."""
        if not isinstance(self.train, list):
            return None
        room = self.tokenizer.room(context)
        rows = self.train + self.val
        n_long = sum(max(map(np.size, row)) > room for row in rows)
        if not n_long:
            return None
        return (
            f"{n_long:,} of {len(rows):,} rows are longer than the {room} tokens that "
            f"the model sees of a text: they lose their end"
        )


def validation_batch(
    val: Part,
    config: TrainConfig,
    tokenizer: Tokenizer,
    limit: int = LIMIT,
) -> Batch:
    """What there is to predict in the validation part, as one batch: about `limit`
    tokens of it, rounded up to whole sequences. Its draws, if any, do not depend on the
    run's seed: runs of one text, tokenizer and context meet the same."""
    most = math.ceil(limit / config.context)
    match OBJECTIVES[config.objective].kind:
        case "windows":
            examples = validation_windows(val, config.context, most)
        case "passages":
            with named_in_errors("the validation part"):
                openings = val.openings()
            examples = text.passages(val, openings[spread(len(openings), most)])
        case _:
            examples = [val[i] for i in spread(len(val), most)]
    return make_batch(config, examples, _validation_draws(), tokenizer)


def all_batches(
    val: Part,
    config: TrainConfig,
    tokenizer: Tokenizer,
    limit: int = LIMIT,
) -> list[Batch]:
    """All there is to predict in the validation part, with the end of a text that fills
    no window; where that is more than `limit` tokens, about so many of it."""
    kind = OBJECTIVES[config.objective].kind
    if count_tokens(val) > limit or kind == "passages":
        return [validation_batch(val, config, tokenizer, limit)]
    rng = _validation_draws()
    if isinstance(val, list):
        return [make_batch(config, val, rng, tokenizer)]
    # A causal model reads a token to predict the next one, a masked one reads all; and
    # so does a causal one that reads a special token first.
    n_before = len(tokenizer.before)
    if config.objective == "clm" and n_before:
        windows = _all_windows(val, config.context + 1 - n_before, ahead=0)
    elif config.objective == "clm":
        windows = _all_windows(val, config.context, ahead=1)
    else:
        windows = _all_windows(val, tokenizer.room(config.context), ahead=0)
    return [make_batch(config, each, rng, tokenizer) for each in windows]


def _all_windows(ids: np.ndarray, context: int, ahead: int) -> list[np.ndarray]:
    """All of a text: n whole windows (n, T) int32, and its end, a shorter one (1, T')
    int32, each only where there is such. T = `context` + `ahead`.

    `ahead` is how far a model predicts: 1 for a causal one, whose last token of a
    window is a target only, so that the next window begins with it; 0 for a masked
    one. Raises DataError for a text of `ahead` tokens or fewer.
    """
    if len(ids) <= ahead:
        raise DataError(
            f"the validation text is too short: {len(ids)} tokens leave nothing to be "
            f"predicted; give more text"
        )
    n = (len(ids) - ahead) // context
    places = np.arange(n)[:, None] * context + np.arange(context + ahead)
    parts = [ids[places], ids[None, n * context :]]
    return [p.astype(np.int32) for p in parts if len(p) and p.shape[1] > ahead]


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


def count_tokens(part: Part) -> int:
    """The tokens of a part; of pairs, those of the targets."""
    if not isinstance(part, list):
        return len(part)
    return sum(map(tokens_of_row, part))


def tokens_of_row(row: tuple) -> int:
    """The tokens of a labelled text, or of the target of a pair."""
    first, second = row
    return len(first) if np.ndim(second) == 0 else len(second)


def bytes_per_token(
    tokenizer: Tokenizer, n_bytes: int, n_tokens: int, lost: Lost
) -> float | None:
    """None where some bytes are of no token: those of white space, or of characters
    that are read as unknown ones."""
    complete = tokenizer.keeps_spaces and not lost.n
    return n_bytes / max(n_tokens, 1) if complete else None
