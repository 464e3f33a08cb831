"""The prompt: tokens to continue, or [BOS] beside a source that was read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minillm.errors import UsageError
from minillm.generation.decoder import Decoder
from minillm.runs.run import Run
from minillm.text import BOS


@dataclass(frozen=True)
class Opening:
    """What a text goes on from: its token ids, and the white space after them that the
    first new token must begin with.

    A word's token of BPE holds the space before it: a prompt that ends in a space would
    end in a token that no word follows in any text that the model has learned from.
    """

    ids: Sequence[int] | np.ndarray = ()
    owed: str = ""


def begin(
    run: Run, prompts: Sequence[str], *, cached: bool = True
) -> tuple[Decoder, list[Opening]]:
    """A decoder about to continue each prompt, or to answer each source; and what each
    row goes on from: an answer, from nothing.

    Raises UsageError where the architecture has no way to decode.
    """
    never = run.tokenizer.never_written
    if not reads_source(run):
        if cached and not run.model.continues_text:
            raise UsageError(
                f"{run.path}: is of arch {run.config.arch}, which cannot continue a "
                f"text: that needs `new_cache` and `decode`; `minillm eval` measures "
                f"its loss"
            )
        openings = [encode_prompt(run, prompt) for prompt in prompts]
        ids = [each.ids for each in openings]
        options = {"never": never, "first": _first(run, openings)}
        return Decoder(run.model, ids, cached=cached, **options), openings
    context = run.model.config.context
    rows = [(ids,) for ids in run.tokenizer.encode_all(prompts)]
    sources = run.tokenizer.batch(rows, room=context)
    model = run.model.conditioned(sources.ids, sources.mask)
    begun = [[run.tokenizer.specials[run.tokenizer.begin]] for _ in prompts]
    return Decoder(model, begun, cached=cached, never=never), [Opening()] * len(prompts)


def _first(run: Run, openings: Sequence[Opening]) -> np.ndarray | None:
    """Which tokens can come first in each row: (B, V) bool, None where all can."""
    owed = [each.owed for each in openings]
    masks = {each: run.tokenizer.opening(each) for each in set(owed)}
    return np.array([masks[each] for each in owed]) if any(owed) else None


def reads_source(run: Run) -> bool:
    """Whether what it writes answers a text, and does not continue it."""
    return run.config.objective == "seq2seq"


def encode_prompt(run: Run, prompt: str) -> Opening:
    """What goes on after a prompt, in the frame that the tokenizer has for texts; after
    nothing, a text begins with that frame, or [BOS], or as after a line's end.

    Raises UsageError for wordpiece, which has no line ends, after nothing.
    """
    kept, owed = run.tokenizer.open_end(prompt)
    before, ids = run.tokenizer.before, run.tokenizer.encode(kept)
    if not len(ids) and not len(before):
        before = np.array(run.tokenizer.ids_of(BOS)[:1], np.int32)
        ids = ids if len(before) else run.tokenizer.encode("\n")
    if not len(before) + len(ids):
        raise UsageError(
            f"{run.path}: its {run.tokenizer.kind} tokens have no line ends to begin "
            "after: give a prompt of a word at least"
        )
    return Opening(np.concatenate([before, ids]), owed)


def unseen(run: Run, prompt: str) -> str | None:
    """In words, which tokens of a prompt the model does not see; None: it sees all."""
    context = run.model.config.context
    if reads_source(run):
        n = len(run.tokenizer.encode(prompt)) - run.tokenizer.room(context)
        part = f"not the last {n} of this source"
    else:
        n = len(encode_prompt(run, prompt).ids) - context
        part = f"not the first {n} of this prompt"
    return f"the model sees {context} tokens at once, and {part}" if n > 0 else None
