"""From a configuration to token ids: the corpus, its tokenizer, its two parts."""

from dataclasses import dataclass, field

import numpy as np

from minillm.errors import DataError
from minillm.text import MASK, Corpus, Tokenizer, load_corpus, train_tokenizer
from minillm.training.config import TrainConfig


@dataclass(frozen=True)
class Text:
    """A corpus as token ids."""

    name: str
    sha256: str
    n_bytes: int
    note: str
    val_bytes: int
    tokenizer: Tokenizer
    train: np.ndarray = field(repr=False)
    val: np.ndarray = field(repr=False)


def prepare(config: TrainConfig, tokenizer: Tokenizer | None = None) -> Text:
    """Load the corpus and encode it, with a new tokenizer unless one is given.

    Raises DataError for a missing, unreadable or too short corpus, with the length that
    is needed.
    """
    corpus = load_corpus(config.data)
    if tokenizer is None:
        tokenizer = new_tokenizer(config, corpus)
    train, val = tokenizer.encode(corpus.train), tokenizer.encode(corpus.val)
    for part, ids in (("training", train), ("validation", val)):
        if len(ids) < config.context + 1:
            raise DataError(
                f"{corpus.name}: its {part} part has {len(ids):,} tokens, but a "
                f"context of {config.context} needs at least {config.context + 1:,}: "
                f"give more text or a shorter --context"
            )
    return Text(
        name=corpus.name,
        sha256=corpus.sha256,
        n_bytes=corpus.n_bytes,
        note=corpus.note,
        val_bytes=len(corpus.val.encode()),
        tokenizer=tokenizer,
        train=train,
        val=val,
    )


def new_tokenizer(config: TrainConfig, corpus: Corpus) -> Tokenizer:
    specials = (MASK,) if config.objective == "mlm" else ()
    return train_tokenizer(
        config.tokenizer, corpus.train, vocab_size=config.vocab, specials=specials
    )
