"""From a configuration to token ids: the corpus, its tokenizer, its two parts. Which
examples of the first part a step sees is in `text/examples.py`."""

from collections.abc import Sequence
from typing import TypeAlias

from minillm import text
from minillm.errors import DataError, UsageError, option
from minillm.learning.config import TrainConfig
from minillm.learning.encoded import EncodedCorpus, Part
from minillm.text import (
    MASK,
    OBJECTIVES,
    PAIR_SPECIALS,
    SEQ2SEQ_SPECIALS,
    Corpus,
    Lost,
    Tokenizer,
    load_corpus,
    train_tokenizer,
)

# What is written as `text.Table` is in a file that is opened by who has such.
AnyCorpus: TypeAlias = "Corpus | text.Table"
TABLES = ("pairs", "labels")
LEARNED = ("bpe", "wordpiece")  # the tokenizers that learn from a text for seconds
LARGE = 2_000_000  # bytes of text, whose encoding takes seconds


def prepare(
    config: TrainConfig, tokenizer: Tokenizer | None = None, note=None
) -> EncodedCorpus:
    """Load the corpus and encode it, with a new tokenizer unless one is given.

    `note(text)` hears how a file was read, before a large one is encoded, and what is
    lost of it. Raises DataError for a missing or unreadable corpus.
    """
    kind = OBJECTIVES[config.objective].kind
    corpus = read_corpus(config.data, kind)
    for line in corpus.notes if note else ():
        note(line)
    labels = ()
    if kind == "labels":
        labels = tuple(sorted({label for _, label in corpus.train}))
    cache = _cache(config, corpus)
    found = cache and cache.read(note)
    if not found or (tokenizer and tokenizer.sha256 != found["tokenizer"].sha256):
        if note and corpus.n_bytes > LARGE:
            size = f"{corpus.n_bytes / 1e6:.1f} MB"
            note(f"{corpus.name}: {size} of text to be encoded by {config.tokenizer}")
        found = _encoded(
            corpus, kind, tokenizer or new_tokenizer(config, corpus), labels
        )
        if cache and not tokenizer:
            cache.keep(found)
    encoded = EncodedCorpus(
        name=corpus.name,
        sha256=corpus.sha256,
        n_bytes=corpus.n_bytes,
        note=corpus.note,
        val_bytes=len(corpus.val.encode()) if isinstance(corpus, Corpus) else 0,
        entropy=getattr(corpus, "entropy", None),
        labels=labels,
        notes=corpus.notes,
        **found,
    )
    missing = encoded.train_lost + encoded.val_lost
    if note and (message := missing.note(corpus.name)):
        note(message)
    return encoded


def _cache(config: TrainConfig, corpus: AnyCorpus) -> "text.Cache | None":
    """Where the default corpus is kept as ids, if they take long to make."""
    objective = OBJECTIVES[config.objective]
    if config.data != TrainConfig.data or objective.kind != "windows":
        return None
    if config.tokenizer not in LEARNED:
        return None
    specials, template = _framing(config)
    return text.Cache(
        f"{corpus.name}-{config.tokenizer}",
        {
            "text": [corpus.sha256, len(corpus.train)],
            "tokenizer": [config.tokenizer, config.vocab, specials],
            "template": template and vars(template),
        },
    )


def _encoded(corpus: AnyCorpus, kind: str, tokenizer: Tokenizer, labels) -> dict:
    """The fields of an EncodedCorpus that come of its tokenizer."""
    found = {"tokenizer": tokenizer}
    for part in ("train", "val"):
        found[part] = encode(corpus, part, kind, tokenizer, labels)
        found[f"{part}_lost"] = lost(corpus, part, kind, tokenizer, found[part])
    return found


def read_corpus(
    data: str, kind: str, *, whole: bool = False, known_labels: Sequence[str] = ()
) -> AnyCorpus:
    """What examples of this kind are made of. With `whole` all rows of a file are its
    validation part, and none with one of `known_labels` is a header. Raises DataError
    or UsageError."""
    if kind in TABLES:
        if data == TrainConfig.data:  # the default, which is a text
            raise UsageError(
                f"{kind} need {option('data')}: a .tsv, .csv or .jsonl file, or a "
                f"task that "
                f"`minillm data list` shows"
            )
        return text.load_table(data, kind, whole=whole, known_labels=known_labels)
    return load_corpus(data)


def encode(
    corpus: AnyCorpus, part: str, kind: str, tokenizer: Tokenizer, labels=()
) -> Part:
    """The "train" or "val" part of a corpus as token ids, for examples of this kind.

    Raises DataError for a label that is not among `labels`.
    """
    content = getattr(corpus, part)
    if kind == "windows":
        return tokenizer.encode(content)
    if kind == "passages":
        return text.Documents.encode(corpus.documents(part), tokenizer)
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
    corpus: AnyCorpus,
    part: str,
    kind: str,
    tokenizer: Tokenizer,
    encoded: Part,
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


def new_tokenizer(config: TrainConfig, corpus: AnyCorpus) -> Tokenizer:
    """A tokenizer for the training part of a corpus, with the special tokens and the
    template that the objective and the architecture need."""
    specials, template = _framing(config)
    content = corpus.train
    if not isinstance(content, str):
        content = "\n".join(_cells(content, OBJECTIVES[config.objective].kind))
    return train_tokenizer(
        config.tokenizer,
        content,
        vocab_size=config.vocab,
        specials=specials,
        template=template,
    )


def _framing(config: TrainConfig) -> "tuple[tuple[str, ...], text.Template | None]":
    if config.objective == "seq2seq":
        return SEQ2SEQ_SPECIALS, text.SEQ2SEQ_TEMPLATE
    if config.arch == "bert":
        return PAIR_SPECIALS, text.BERT_TEMPLATE
    return ((MASK,) if config.objective == "mlm" else ()), None
