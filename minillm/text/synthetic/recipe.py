"""Recipe of what is generated: a name, parameters within limits, and what is known."""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import ClassVar

from minillm.errors import UsageError


class Recipe:
    """How something is generated: the base of `KnownText` and `Toy`.

    A subclass is a frozen dataclass of numbers, its parameters. It offers `title`: what
    comes of it, in a few words. Raises UsageError for a number outside its limits.
    """

    name: ClassVar[str]
    example: ClassVar[str]
    limits: ClassVar[dict[str, tuple[float, float]]]  # the ends of every parameter

    def __post_init__(self):
        for name, (low, high) in self.limits.items():
            value = getattr(self, name)
            whole = isinstance(low, int)
            kind = int if whole else (int, float)
            if (
                isinstance(value, bool)
                or not isinstance(value, kind)
                or not low <= value <= high
            ):
                what = "a whole number" if whole else "a number"
                raise UsageError(
                    f"{self.name}: {name} is {value!r}; it is {what} from {low:,} to "
                    f"{high:,}"
                )

    @classmethod
    def parse(cls, text: str) -> "Recipe":
        """The recipe with parameters like `a=0.3,seed=1`. Raises UsageError."""
        given = {}
        for item in text.split(","):
            name, equals, value = (part.strip() for part in item.partition("="))
            if not equals or name not in cls.limits or name in given:
                raise UsageError(
                    f"{cls.name}: {item!r} is not understood; give "
                    f"{', '.join(cls.limits)}, each once, as in {cls.example}"
                )
            given[name] = _number(value)
        return cls(**given)

    @property
    def spec(self) -> str:
        """What `--data` takes for it: the name and the parameters that differ."""
        changed = [
            f"{field.name}={getattr(self, field.name)}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        ]
        return ":".join([self.name, *filter(None, [",".join(changed)])])


class KnownText(Recipe):
    """A text drawn from a law that is known: the base of `Facts` and `Lexicon`.

    A subclass offers `characters` (the expected ones of both texts), `texts()`,
    `entropy` (nats per character) and `start_cost` (nats per window).
    """

    def floor(self, context: int) -> float:
        """The least mean loss of windows of `context` characters: nats per character.

        It lies above the entropy, for a window begins in the middle
        (`excess_entropy.py`).
        """
        return self.entropy + self.start_cost / context


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


def named(data: str, recipes: Mapping[str, type[Recipe]]) -> Recipe | None:
    """The one of `recipes` that `data` names, `facts` or `facts:a=0.3`, or None.

    Raises UsageError for parameters that cannot be.
    """
    name, colon, parameters = data.partition(":")
    if name not in recipes:
        return None
    recipe = recipes[name]
    return recipe.parse(parameters) if colon else recipe()


def _number(text: str) -> int | float | str:
    """A number as it is written; what is none is left to be refused with its name."""
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if math.isfinite(value) else text
    return text
