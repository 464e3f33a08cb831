"""From a configuration to token ids: the corpus, its tokenizer, its two parts."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from minillm.errors import DataError
from minillm.text import MASK, Corpus, Tokenizer, load_corpus, train_tokenizer
from minillm.training.config import TrainConfig


@dataclass(frozen=True)
class Text:
    """A corpus as token ids. Sizes are in UTF-8 bytes; `entropy` is in nats per
    character, None where it is not known."""

    name: str
    sha256: str
    n_bytes: int
    note: str
    val_bytes: int
    tokenizer: Tokenizer
    train: np.ndarray = field(repr=False)
    val: np.ndarray = field(repr=False)
    entropy: float | None = None

    @property
    def bytes_per_token(self) -> float:
        """Of the validation part."""
        return self.val_bytes / max(len(self.val), 1)


LARGE = 2_000_000  # bytes of text, whose encoding takes seconds


def prepare(config: TrainConfig, tokenizer: Tokenizer | None = None, note=None) -> Text:
    """Load the corpus and encode it, with a new tokenizer unless one is given.

    `note(text)` is told before a large one is encoded. Raises DataError for a missing
    or unreadable corpus.
    """
    corpus = load_corpus(config.data)
    if note and corpus.n_bytes > LARGE:
        megabytes = f"{corpus.n_bytes / 1e6:.1f} MB"
        note(f"{corpus.name}: {megabytes} of text to be encoded by {config.tokenizer}")
    tokenizer = tokenizer or new_tokenizer(config, corpus)
    return Text(
        name=corpus.name,
        sha256=corpus.sha256,
        n_bytes=corpus.n_bytes,
        note=corpus.note,
        val_bytes=len(corpus.val.encode()),
        tokenizer=tokenizer,
        train=tokenizer.encode(corpus.train),
        val=tokenizer.encode(corpus.val),
        entropy=corpus.entropy,
    )


def new_tokenizer(config: TrainConfig, corpus: Corpus) -> Tokenizer:
    """A tokenizer for a corpus: one with a [MASK] where the objective needs it."""
    specials = (MASK,) if config.objective == "mlm" else ()
    return train_tokenizer(
        config.tokenizer, corpus.train, vocab_size=config.vocab, specials=specials
    )


@contextlib.contextmanager
def named_in_errors(corpus: str) -> Iterator[None]:
    """Put a corpus's name before what is found wrong with it inside the block."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{corpus}: {error}") from None
