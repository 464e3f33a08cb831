"""Characters that no token of a vocabulary stands for."""

from dataclasses import dataclass

MOST_SHOWN = 10


@dataclass(frozen=True)
class Lost:
    """What is lost of a text on its way into token ids.

    `n` of its `of` characters are read as one and the same unknown token; `characters`
    are those that no token stands for, each once.
    """

    n: int = 0
    of: int = 0
    characters: str = ""

    def __add__(self, other: "Lost") -> "Lost":
        both = dict.fromkeys(self.characters + other.characters)
        return Lost(self.n + other.n, self.of + other.of, "".join(both))

    @property
    def share(self) -> float:
        return self.n / max(self.of, 1)

    def told(self, text: str) -> str | None:
        """In words, what is lost of a text that is called so; None: nothing is."""
        if not self.n:
            return None
        share = f"{self.share:.1%}" if self.share >= 0.001 else "less than 0.1%"
        shown = " ".join(map(repr, self.characters[:MOST_SHOWN]))
        more = " ..." if len(self.characters) > MOST_SHOWN else ""
        return (
            f"the model has no token for {share} of the characters of {text}"
            f"{shown and f' ({shown}{more})'}: it reads one and the same for all that "
            f"it does not know"
        )


NOTHING = Lost()
