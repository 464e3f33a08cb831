"""Recipe of what is generated: a name, parameters within limits, and what is known."""

import math
from dataclasses import field, fields
from typing import Any, ClassVar

from minillm.errors import UsageError


def parameter(usual: float, low: float, high: float) -> Any:
    """A parameter of a recipe: its usual value, and the least and the largest."""
    return field(default=usual, metadata={"limits": (low, high)})


SEED = parameter(0, 0, 2**32 - 1)


class Recipe:
    """How something is generated: the base of `KnownText` and `Toy`.

    A subclass is a frozen dataclass of numbers, each a `parameter`. It offers `title`:
    what comes of it, in a few words. Raises UsageError for a number outside its limits.
    """

    name: ClassVar[str]
    example: ClassVar[str]

    def __post_init__(self):
        for name, (low, high) in self.limits().items():
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
    def limits(cls) -> dict[str, tuple[float, float]]:
        """The least and the largest value of every parameter."""
        return {each.name: each.metadata["limits"] for each in fields(cls)}

    @classmethod
    def parse(cls, text: str) -> "Recipe":
        """The recipe with parameters like `a=0.3,seed=1`. Raises UsageError."""
        given = {}
        for item in text.split(","):
            name, equals, value = (part.strip() for part in item.partition("="))
            if not equals or name not in cls.limits() or name in given:
                raise UsageError(
                    f"{cls.name}: {item!r} is not understood; give "
                    f"{', '.join(cls.limits())}, each once, as in {cls.example}"
                )
            given[name] = _number(value)
        return cls(**given)

    @property
    def spec(self) -> str:
        """What `--data` takes for it: the name and the parameters that differ."""
        changed = [
            f"{each.name}={getattr(self, each.name)}"
            for each in fields(self)
            if getattr(self, each.name) != each.default
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
    chance: float


def _number(text: str) -> int | float | str:
    """A number as it is written; what is none is left to be refused with its name."""
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if math.isfinite(value) else text
    return text
