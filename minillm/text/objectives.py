"""Objectives: what a model has to predict, as a function from examples to a batch.

All objectives have one signature, so that `Objective.batch` can be any of them: one
that draws nothing still takes `rng`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from minillm.errors import UsageError
from minillm.text.batch import IGNORED, Batch
from minillm.text.tokenizer.base import MASK, Tokenizer

if TYPE_CHECKING:  # else opened by who has documents
    from minillm.text.documents import Passage

# Of BERT's masked language model (Devlin et al. 2019, section 3.1): the share of tokens
# that have to be restored, and how many of these are hidden, exchanged and unchanged.
MASKED_SHARE = 0.15
HIDDEN, EXCHANGED, UNCHANGED = 0.8, 0.1, 0.1
# Padded sequences are as long as the longest, made a multiple of this.
MULTIPLE = 8


def causal(
    windows: np.ndarray, *, rng: np.random.Generator, tokenizer: Tokenizer, context: int
) -> Batch:
    """Predict each token from those before it: (B, T+1) int32 -> (B, T).

    The objective of GPT (Radford et al. 2018). Where the tokenizer's template begins a
    text with special tokens, such as Llama's <s>, each window begins with them: they
    are read, and its first tokens predicted. Draws nothing from `rng`.
    """
    n_before = len(tokenizer.before)
    if n_before:
        before = np.tile(tokenizer.before, (len(windows), 1))
        windows = np.hstack([before, windows])[:, : context + 1]
    ids = np.ascontiguousarray(windows[:, :-1])
    targets = windows[:, 1:].copy()  # written into, where ids may be a view
    if n_before > 1:
        targets[:, : n_before - 1] = IGNORED  # no text holds those
    return Batch(ids, targets)


def masked(
    windows: np.ndarray,
    *,
    rng: np.random.Generator,
    tokenizer: Tokenizer,
    context: int,
    whole_words: bool = False,
) -> Batch:
    """Restore hidden tokens from both sides: (B, T+1) int32 -> (B, T).

    Of each window its first tokens, inside the tokenizer's template where it has one.
    Raises UsageError where the tokenizer has no [MASK].
    """
    ids = windows[:, :context]
    if tokenizer.template is not None:
        room = tokenizer.room(context)
        framed = [tokenizer.frame(row[:room], room=context)[0] for row in windows]
        ids = np.stack(framed)
    return hide(Batch(ids), rng, tokenizer, whole_words)


def next_sentence(
    passages: Sequence["Passage"],
    *,
    rng: np.random.Generator,
    tokenizer: Tokenizer,
    context: int,
    whole_words: bool = False,
) -> Batch:
    """Restore hidden tokens of two texts, and say whether the second follows the first.

    BERT's two objectives at once (Devlin et al. 2019, section 3.1). Label 0: it does.
    """
    room = tokenizer.room(context, pair=True)
    pairs = [passage.pair(room, rng) for passage in passages]
    texts, labels = [pair[:2] for pair in pairs], [label for *_, label in pairs]
    batch = _labelled(texts, labels, tokenizer, context)
    return hide(batch, rng, tokenizer, whole_words)


def seq2seq(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    rng: np.random.Generator,
    tokenizer: Tokenizer,
    context: int,
) -> Batch:
    """Predict each token of a target from its source and the tokens before it.

    Teacher forcing: the decoder reads [BOS] and the right tokens, whatever it would
    have said (Sutskever et al. 2014). Draws nothing from `rng`.
    """
    source = _padded([(a,) for a, _ in pairs], tokenizer, context)
    target = _padded([(b,) for _, b in pairs], tokenizer, context)
    # A target that was cut does not end where it is cut.
    room = tokenizer.room(context)
    kept = target.mask.copy()
    kept[[len(b) > room for _, b in pairs], context - 1 :] = False
    begin = np.full((len(pairs), 1), tokenizer.specials[tokenizer.begin], np.int32)
    return Batch(
        # Shifted by one: at each place, what comes before the target.
        ids=np.hstack([begin, target.ids[:, :-1]]),
        targets=np.where(kept, target.ids, np.int32(IGNORED)),
        n_targets=int(kept.sum()),
        mask=target.mask,
        source=source.ids,
        source_mask=source.mask,
    )


def classify(
    texts: Sequence[tuple[np.ndarray, int]],
    *,
    rng: np.random.Generator,
    tokenizer: Tokenizer,
    context: int,
) -> Batch:
    """Say which class a text is of. Draws nothing from `rng`."""
    labels = [label for _, label in texts]
    return _labelled([(text,) for text, _ in texts], labels, tokenizer, context)


def hide(
    batch: Batch, rng: np.random.Generator, tokenizer: Tokenizer, whole_words=False
) -> Batch:
    """The same batch with tokens hidden, as in BERT's masked language model.

    Each position is chosen with probability 0.15, or each word with all of its tokens;
    of the chosen tokens 80 % become [MASK], 10 % a random token, 10 % stay (Devlin et
    al. 2019, section 3.1). A special token, padding too, is never chosen nor drawn. A
    batch can end up with nothing chosen. Raises UsageError without a [MASK].
    """
    if MASK not in tokenizer.specials:
        raise UsageError(f"the masked objective needs a tokenizer with a {MASK} token")
    tokens = batch.ids
    special = np.isin(tokens, list(tokenizer.specials.values()))
    draws = rng.random(tokens.shape)
    if whole_words:
        draws = np.take_along_axis(draws, word_beginnings(tokens, tokenizer), -1)
    chosen = (draws < MASKED_SHARE) & ~special
    fate = rng.random(tokens.shape)
    random_tokens = rng.choice(tokenizer.ordinary_ids, tokens.shape)
    hidden = chosen & (fate < HIDDEN)
    exchanged = chosen & ~hidden & (fate < HIDDEN + EXCHANGED)
    ids = np.where(hidden, np.int32(tokenizer.specials[MASK]), tokens)
    ids = np.where(exchanged, random_tokens, ids)
    return replace(
        batch,
        ids=ids,
        targets=np.where(chosen, tokens, np.int32(IGNORED)),
        n_targets=int(chosen.sum()),
    )


def word_beginnings(ids: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """For each token the place where its word begins: (B, T) -> (B, T)."""
    opens, closes = tokenizer.word_edges
    inside = np.zeros(ids.shape, bool)
    inside[:, 1:] = ~opens[ids[:, 1:]] & ~closes[ids[:, :-1]]
    return np.maximum.accumulate(np.where(inside, 0, np.arange(ids.shape[1])), axis=1)


def _labelled(
    rows: Sequence[tuple], labels: Sequence[int], tokenizer: Tokenizer, context: int
) -> Batch:
    """One text or two a row, and its class."""
    batch = _padded(rows, tokenizer, context)
    return replace(batch, labels=np.array(labels, np.int32), n_labels=len(labels))


def _padded(rows: Sequence[tuple], tokenizer: Tokenizer, context: int) -> Batch:
    """One text or two a row, in the tokenizer's template and padded to one length."""
    multiple = 1 if context % MULTIPLE else MULTIPLE
    return tokenizer.batch(rows, room=context, multiple_of=multiple)


@dataclass(frozen=True)
class Objective:
    """How a batch is made of examples, and what is so of every run that is trained so.

    `kind` says which examples these are: "windows" of a text, "passages" of documents,
    or rows of "pairs" or "labels". `model` says in words what comes of it, `ask` with
    which command to put it to use: on a `run`, with a `prompt` or a text with a `gap`.
    Which models it can train, `models/architectures.py` says.
    """

    batch: Callable[..., Batch]
    kind: str
    loss_unit: str
    model: str
    ask: str


OBJECTIVES = {
    "clm": Objective(
        causal,
        "windows",
        loss_unit="nats/token",
        model="a causal model, which continues texts (`minillm generate`)",
        ask="minillm generate {run} {prompt}",
    ),
    "mlm": Objective(
        masked,
        "windows",
        loss_unit="nats/token",
        model="a masked model, which fills gaps (`minillm fill`)",
        ask="minillm fill {run} {gap}",
    ),
    "mlm+nsp": Objective(
        next_sentence,
        "passages",
        loss_unit="nats/token + nats/label",
        model="a masked model, which fills gaps (`minillm fill`)",
        ask="minillm finetune {run} --task classify --data FILE",
    ),
    "seq2seq": Objective(
        seq2seq,
        "pairs",
        loss_unit="nats/token",
        model="an encoder–decoder, which answers a source (`minillm generate`)",
        ask='minillm generate {run} "SOURCE"',
    ),
    "classify": Objective(
        classify,
        "labels",
        loss_unit="nats/label",
        model="a classifier, which labels texts (`minillm classify`)",
        ask='minillm classify {run} "TEXT"',
    ),
}
