"""Attention maps of a run on a text, by layer, with the labels of their tokens."""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from minillm.errors import UsageError, option
from minillm.figures import svg
from minillm.generation import generate
from minillm.generation.fill import with_gaps
from minillm.inspect.attention.watch import Attention, watched
from minillm.runs.run import Run, open_run
from minillm.tensor import no_grad
from minillm.text import MASK, Batch, Tokenizer

MOST_SHOWN = 16  # maps of a list on the screen
LONGEST = 12  # characters of a label
SHOWN = str.maketrans({" ": "␣", "\n": "↵", "\t": "⇥"})
# An encoder–decoder has three kinds of attention, any other transformer one.
SELF, ENCODER, DECODER, CROSS = PARTS = ("self", "encoder", "decoder", "cross")


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """The attention weights of the heads of one layer on one text.

    `weights` (H, T, S) are those of the keys for each query: rows sum to 1.
    `queries` (T) and `keys` (S) are the labels of the tokens. `heads` (H) are the
    numbers of the heads, from 0 as those of layers. `part` is "self", or in an
    encoder–decoder "encoder", "decoder" or "cross". `causal`: no query sees later keys.
    """

    part: str
    layer: int
    heads: list[int]
    weights: np.ndarray
    queries: list[str]
    keys: list[str]
    causal: bool

    def __repr__(self) -> str:
        queries, keys = len(self.queries), len(self.keys)
        return (
            f"AttentionMap({self.part}, layer {self.layer}, heads {self.heads}: "
            f"{queries} × {keys} tokens)"
        )

    def _repr_svg_(self) -> str | None:
        return Maps([self])._repr_svg_()


class Maps(list):
    """A list of attention maps, which a notebook shows as a figure."""

    def __repr__(self) -> str:
        shown = ",\n ".join(map(repr, self[:MOST_SHOWN]))
        more = len(self) - MOST_SHOWN
        return f"[{shown}]" if more <= 0 else f"[{shown},\n … and {more} more]"

    def _repr_svg_(self) -> str | None:
        # By name: what draws maps imports this file.
        name = "minillm.inspect.attention.attention_figure"
        try:
            return svg(importlib.import_module(name).draw_attention(self))
        except UsageError:  # too much for a page: the text has to do
            return None


def attention_maps(
    run: Run | str,
    text: str,
    text_b: str | None = None,
    *,
    layer: int | None = None,
    head: int | None = None,
) -> Maps:
    """The attention maps of a run on a text, framed as in training, layer by layer.

    `run` is a run (`load_run`) or the path of one. `text_b` is the second text of a
    pair; or what an encoder–decoder writes for the first, by itself unless it is given.
    [MASK] is one token where the model knows it. `layer` and `head` choose one, counted
    from 0.

    Raises UsageError for a model without attention, for a layer or head that is not
    there, and for a text that is empty or longer than the context.
    """
    run = open_run(run)
    config = run.model.config
    if config.arch == "lstm":
        raise UsageError(
            f"{run.path}: is an LSTM, which has no attention: choose a transformer"
        )
    _check_number(run, "layer", layer, config.n_layers)
    _check_number(run, "head", head, config.n_heads)
    batch = as_in_training(run, text, text_b)
    with no_grad(), watched() as found:
        run.model.read(batch)
    maps = [each for each in _placed(run, batch, found) if layer in (None, each.layer)]
    if head is not None:
        maps = [
            replace(each, heads=[head], weights=each.weights[[head]]) for each in maps
        ]
    return Maps(maps)


def in_parts(maps: Sequence[AttentionMap]) -> list[list[AttentionMap]]:
    """The maps of each part of a model: several lists only for an encoder–decoder."""
    return [list(part) for _, part in groupby(maps, key=lambda each: each.part)]


def _check_number(run: Run, what: str, number: int | None, n: int) -> None:
    if number is not None and not 0 <= number < n:
        raise UsageError(
            f"{what} {number}: {run.path} has the {what}s 0 to {n - 1}, counted from 0"
        )


def _placed(run: Run, batch: Batch, found: list[Attention]) -> list[AttentionMap]:
    """The collected weights as maps, by parts and layers."""
    target = token_labels(run.tokenizer, batch.ids[0])
    has_source = batch.source is not None
    source = token_labels(run.tokenizer, batch.source[0]) if has_source else None
    tokens = {
        SELF: (target, target),
        ENCODER: (source, source),
        DECODER: (target, target),
        CROSS: (target, source),
    }
    maps = {part: [] for part in PARTS}
    for each in found:
        part = _part(each, has_source)
        (weights,) = each.weights
        heads = list(range(len(weights)))
        place = part, len(maps[part]), heads
        maps[part].append(AttentionMap(*place, weights, *tokens[part], each.causal))
    return [each for part in PARTS for each in maps[part]]


def _part(seen: Attention, has_source: bool) -> str:
    if not has_source:
        return SELF
    if seen.op == "cross_attention":
        return CROSS
    return DECODER if seen.causal else ENCODER


def as_in_training(run: Run, text: str, text_b: str | None = None) -> Batch:
    """A batch of one example, framed as the run's own were. Raises UsageError."""
    tokenizer = run.tokenizer
    texts = [_encoded(run, each) for each in (text, text_b) if each is not None]
    if run.model.config.arch == "encdec":
        source, _ = tokenizer.frame(texts[0], room=sys.maxsize)
        source = _fitting(run, source)
        written = texts[1] if len(texts) > 1 else _written(run, text)
        begin = np.array([tokenizer.specials[tokenizer.begin]], np.int32)
        return Batch(_fitting(run, np.concatenate([begin, written])), source=source)
    if len(texts) > 1 and (tokenizer.template is None or not tokenizer.template.pair):
        raise UsageError(
            f"{run.path}: reads one text, not two: leave out {option('text_b')}"
        )
    ids, segments = tokenizer.frame(*texts, room=sys.maxsize)
    return Batch(_fitting(run, ids), segments=segments[None])


def _encoded(run: Run, text: str) -> np.ndarray:
    """The ids of a text, in which [MASK] is one token where the model has it."""
    if MASK in run.tokenizer.specials:
        ids = with_gaps(run.tokenizer, text)
    else:
        ids = run.tokenizer.encode(text)
    if not len(ids):
        raise UsageError(
            f"the text {text!r} has no tokens: there is nothing to look at"
        )
    return ids


def _written(run: Run, source: str) -> np.ndarray:
    """The likeliest output of an encoder–decoder, up to the length of its context."""
    ids = run.tokenizer.encode(generate(run, source, temperature=0.0))
    return ids[: run.model.config.context - 1]


def _fitting(run: Run, ids: np.ndarray) -> np.ndarray:
    """A row of a batch: (T,) -> (1, T). Raises UsageError where it is too long."""
    context = run.model.config.context
    if len(ids) > context:
        raise UsageError(
            f"the text has {len(ids)} tokens, special ones included, and {run.path} "
            f"sees {context} at once: shorten it"
        )
    return ids[None]


def token_labels(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """A label for each token.

    White space is made visible, special tokens go by their names, half a character by
    its bytes ("e4 b8"). A long token loses its end.
    """
    special = {i: name for name, i in tokenizer.specials.items()}
    return [special.get(int(i)) or _label(tokenizer.token_bytes(int(i))) for i in ids]


def _label(written: bytes) -> str:
    try:
        text = written.decode("utf-8").translate(SHOWN)
    except UnicodeDecodeError:
        text = written.hex(" ")
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
