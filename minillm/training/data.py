"""From a configuration to token ids: the corpus, its tokenizer, its two parts."""

import contextlib
import math
from collections.abc import Iterator, Sequence

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
    Lost,
    Passages,
    Shuffled,
    Table,
    Tokenizer,
    Windows,
    all_windows,
    load_corpus,
    load_table,
    passages,
    spread,
    train_tokenizer,
    validation_windows,
)
from minillm.training.config import TrainConfig
from minillm.training.encoded import EncodedCorpus, count_tokens
from minillm.training.streams import VALIDATION

# About how many validation tokens the last evaluation of a run looks at.
LIMIT = 262_144
TABLES = ("pairs", "labels")
LARGE = 2_000_000  # bytes of text, whose encoding takes seconds


def prepare(
    config: TrainConfig, tokenizer: Tokenizer | None = None, note=None
) -> EncodedCorpus:
    """Load the corpus and encode it, with a new tokenizer unless one is given.

    `note(text)` is told before a large one is encoded, and what is lost of it. Raises
    DataError for a missing or unreadable corpus.
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
    train, val = (
        encode(corpus, part, kind, tokenizer, labels) for part in ("train", "val")
    )
    text = EncodedCorpus(
        name=corpus.name,
        sha256=corpus.sha256,
        n_bytes=corpus.n_bytes,
        note=corpus.note,
        val_bytes=len(corpus.val.encode()) if isinstance(corpus, Corpus) else 0,
        tokenizer=tokenizer,
        train=train,
        val=val,
        entropy=getattr(corpus, "entropy", None),
        labels=labels,
        train_lost=lost(corpus, "train", kind, tokenizer, train),
        val_lost=lost(corpus, "val", kind, tokenizer, val),
    )
    if note and (told := (text.train_lost + text.val_lost).told(corpus.name)):
        note(told)
    return text


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


def lost(
    corpus: Corpus | Table,
    part: str,
    kind: str,
    tokenizer: Tokenizer,
    encoded: np.ndarray | Documents | list,
) -> Lost:
    """What the ids of a part, as `encode` gave them, do not tell of its text."""
    content = getattr(corpus, part)
    if isinstance(encoded, list):
        return tokenizer.lost(_cells(content, kind), _cells(encoded, kind))
    return tokenizer.lost([content], [getattr(encoded, "ids", encoded)])


def _cells(rows: Sequence[tuple], kind: str) -> list:
    """What is text in rows: both columns of pairs, else the first."""
    columns = 2 if kind == "pairs" else 1
    return [cell for row in rows for cell in row[:columns]]


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
        text = "\n".join(_cells(text, OBJECTIVES[config.objective].kind))
    return train_tokenizer(
        config.tokenizer,
        text,
        vocab_size=config.vocab,
        specials=specials,
        template=template,
    )


def training_sampler(text: EncodedCorpus, config: TrainConfig) -> Shuffled:
    """What the steps of a run take their examples from."""
    with named_in_errors(text.name):
        match OBJECTIVES[config.objective].kind:
            case "windows":
                return Windows(text.train, config.context, config.seed)
            case "passages":
                with named_in_errors("the training part"):
                    return Passages(text.train, config.seed)
        return Shuffled(text.train, config.seed)


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
