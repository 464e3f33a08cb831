"""Toy: what all generated tasks share."""

from typing import ClassVar

from minillm.text.recipe import Recipe

Rows = list[tuple[str, str]]


class Toy(Recipe):
    """A task whose best answer is known.

    `kind` says what comes of it: of "pairs" and "labels" `parts()`, rows to train on
    and rows held out; of a "text" and of "documents" `texts()`, one for each, with
    `entropy` (nats per character).

    `chance` is the share of answers that is right for whoever always gives the most
    frequent one, `best` that of an ideal model. An answer is a whole target, a label,
    whether one part of a document follows another, or a character of a text, of which
    an ideal model sees a window: there it is `best(context)`, and `floor(context)` is
    the least loss.
    """

    kind: ClassVar[str]
    objective: ClassVar[str]  # that it was made for
    seeds: ClassVar[tuple[int, int]] = (0, 2**32 - 1)
    chance: float
