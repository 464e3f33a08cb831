"""From a configuration to token ids: the corpus, its tokenizer, its two parts."""

import contextlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from minillm.errors import DataError, UsageError
from minillm.text import (
    BERT_TEMPLATE,
    MASK,
    OBJECTIVES,
    PAIR_SPECIALS,
    SEQ2SEQ_SPECIALS,
    SEQ2SEQ_TEMPLATE,
    Batch,
    Corpus,
    Documents,
    Passages,
    Shuffled,
    Table,
    Tokenizer,
    Windows,
    load_corpus,
    load_table,
    passages,
    spread,
    train_tokenizer,
    validation_windows,
)
from minillm.training.config import TrainConfig
from minillm.training.streams import VALIDATION

# About how many validation tokens the last evaluation of a run looks at.
LIMIT = 262_144
TABLES = ("pairs", "labels")
OFTEN = 20  # epochs
# Letters; Chinese has no spaces, and a clause of it may be long.
WORD, NO_WORD = re.compile(r"[^\W\d_]{1,12} ?"), re.compile(r"\S{1,12}")
SEARCHED = 256  # tokens
LARGE = 2_000_000  # bytes of text, whose encoding takes seconds


@dataclass(frozen=True)
class EncodedCorpus:
    """A corpus as token ids: what a run takes its examples from.

    `train` and `val` are ids (T,), Documents, or lists of rows, by the objective;
    `train_tokens` and `val_tokens` count the tokens in them that are predicted from.
    `labels` are the classes of labelled texts. Sizes are in UTF-8 bytes; `entropy` is
    in nats per character, None where it is not known. `val_bytes` is 0 for rows.
    """

    name: str
    sha256: str
    n_bytes: int
    note: str
    val_bytes: int
    tokenizer: Tokenizer
    train: np.ndarray | Documents | list = field(repr=False)
    val: np.ndarray | Documents | list = field(repr=False)
    entropy: float | None = None
    labels: tuple[str, ...] = ()

    @property
    def train_tokens(self) -> int:
        return count_tokens(self.train)

    @property
    def val_tokens(self) -> int:
        return count_tokens(self.val)

    @property
    def bytes_per_token(self) -> float | None:
        """Of the validation part; None where some bytes are of no token."""
        return bytes_per_token(self.tokenizer, self.val_bytes, self.val_tokens)

    def tokens_per_step(self, config: TrainConfig) -> float:
        """The tokens that a step takes in, on the average: of rows with their special
        tokens and without padding, and of pairs those of the targets."""
        if not isinstance(self.train, list):
            return config.tokens_per_step
        room = self.tokenizer.room(config.context)
        lengths = np.fromiter(map(_length, self.train), np.int64)
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
                        return Passages(self.train, config.seed)
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
        text = self.tokenizer.decode(ids[:SEARCHED])
        found = WORD.search(text) or NO_WORD.search(text)
        return found and found[0]

    def epochs(self, config: TrainConfig) -> float:
        """How often the steps of a run go over the training part."""
        return config.steps * self.tokens_per_step(config) / self.train_tokens

    def repeated(self, config: TrainConfig) -> str | None:
        """In words, that the steps go over a text, not of rows, too often."""
        epochs = self.epochs(config)
        if isinstance(self.train, list) or epochs <= OFTEN:
            return None
        return (
            f"the steps go {epochs:.0f} times over the same text: where a model learns "
            f"it by heart, its validation loss rises; give fewer --steps or more text"
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


def prepare(
    config: TrainConfig, tokenizer: Tokenizer | None = None, note=None
) -> EncodedCorpus:
    """Load the corpus and encode it, with a new tokenizer unless one is given.

    `note(text)` is told before a large one is encoded. Raises DataError for a missing
    or unreadable corpus.
    """
    kind = OBJECTIVES[config.objective].kind
    corpus = load(config.data, kind)
    if note and corpus.n_bytes > LARGE:
        megabytes = f"{corpus.n_bytes / 1e6:.1f} MB"
        note(f"{corpus.name}: {megabytes} of text to be encoded by {config.tokenizer}")
    tokenizer = tokenizer or new_tokenizer(config, corpus)
    labels = ()
    if kind == "labels":
        labels = tuple(sorted({label for _, label in corpus.train}))
    return EncodedCorpus(
        name=corpus.name,
        sha256=corpus.sha256,
        n_bytes=corpus.n_bytes,
        note=corpus.note,
        val_bytes=len(corpus.val.encode()) if isinstance(corpus, Corpus) else 0,
        tokenizer=tokenizer,
        train=encode(corpus, "train", kind, tokenizer, labels),
        val=encode(corpus, "val", kind, tokenizer, labels),
        entropy=getattr(corpus, "entropy", None),
        labels=labels,
    )


def load(data: str, kind: str, *, whole: bool = False) -> Corpus | Table:
    """What examples of this kind are made of. With `whole` all rows of a file are its
    validation part. Raises DataError or UsageError."""
    if kind in TABLES:
        if data == TrainConfig.data:  # the default, which is a text
            raise UsageError(
                f"{kind} need --data: a .tsv, .csv or .jsonl file, or a task that "
                f"`minillm data list` shows"
            )
        return load_table(data, kind, whole=whole)
    return load_corpus(data)


def encode(
    corpus: Corpus | Table, part: str, kind: str, tokenizer: Tokenizer, labels=()
) -> np.ndarray | Documents | list:
    """The "train" or "val" part of a corpus as token ids, for examples of this kind.

    Raises DataError for a label that is not among `labels`.
    """
    content = getattr(corpus, part)
    if kind == "windows":
        return tokenizer.encode(content)
    if kind == "passages":
        return Documents.encode(corpus.documents(part), tokenizer)
    first, second = zip(*content, strict=True)
    if kind == "pairs":
        rows = zip(*map(tokenizer.encode_all, (first, second)), strict=True)
        return list(rows)
    number = {label: i for i, label in enumerate(labels)}
    for label in second:
        if label not in number:
            raise DataError(
                f"{corpus.name}: the label {label!r} is not among those that the model "
                f"knows: {', '.join(labels)}"
            )
    numbers = [number[label] for label in second]
    return list(zip(tokenizer.encode_all(first), numbers, strict=True))


def new_tokenizer(config: TrainConfig, corpus: Corpus | Table) -> Tokenizer:
    """A tokenizer for the training part of a corpus, with the special tokens and the
    template that the objective and the architecture need."""
    specials, template = (), None
    if config.objective == "seq2seq":
        specials, template = SEQ2SEQ_SPECIALS, SEQ2SEQ_TEMPLATE
    elif config.arch == "bert":
        specials, template = PAIR_SPECIALS, BERT_TEMPLATE
    elif config.objective == "mlm":
        specials = (MASK,)
    text = corpus.train
    if not isinstance(text, str):
        columns = 2 if config.objective == "seq2seq" else 1
        text = "\n".join(cell for row in text for cell in row[:columns])
    return train_tokenizer(
        config.tokenizer,
        text,
        vocab_size=config.vocab,
        specials=specials,
        template=template,
    )


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
    rng = np.random.default_rng((0, 0, VALIDATION))
    return make_batch(config, examples, rng, tokenizer)


def make_batch(config: TrainConfig, examples, rng, tokenizer: Tokenizer) -> Batch:
    """The objective's batch of these examples."""
    options = {"whole_words": True} if config.whole_words else {}
    return OBJECTIVES[config.objective].batch(
        examples, rng=rng, tokenizer=tokenizer, context=config.context, **options
    )


def count_tokens(part: np.ndarray | Documents | list) -> int:
    """The tokens of a part; of pairs, those of the targets."""
    if not isinstance(part, list):
        return len(part)
    return sum(map(_length, part))


def _length(row: tuple) -> int:
    """The tokens of a labelled text, or of the target of a pair."""
    first, second = row
    return len(first) if np.ndim(second) == 0 else len(second)


def bytes_per_token(tokenizer: Tokenizer, n_bytes: int, n_tokens: int) -> float | None:
    """None where some bytes, as those of white space, are of no token."""
    return n_bytes / max(n_tokens, 1) if tokenizer.keeps_spaces else None


@contextlib.contextmanager
def named_in_errors(name: str) -> Iterator[None]:
    """Put the name of a corpus, or of its part, before what is found wrong with it
    inside the block."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
