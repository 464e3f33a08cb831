"""Texts of a known law: their entropy, and what windows add to it."""

from minillm.text.recipe import Recipe


class KnownText(Recipe):
    """A text drawn from a law that is known: the base of `Facts` and `Lexicon`.

    A subclass offers `characters` (the expected ones of both texts), `texts()`,
    `entropy` (nats per character) and `start_cost` (nats per window).
    """

    def floor(self, context: int) -> float:
        """The least mean loss of windows of `context` characters: nats per character.

        It lies above the entropy, for a window begins in the middle (`start_cost.py`).
        """
        return self.entropy + self.start_cost / context
