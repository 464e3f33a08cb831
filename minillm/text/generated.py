"""The generated corpora by name: `facts`, `lexicon:words=500,seed=2`."""

from minillm.text.facts import Facts
from minillm.text.known import KnownText
from minillm.text.lexicon import Lexicon
from minillm.text.recipe import named

GENERATED = {kind.name: kind for kind in (Facts, Lexicon)}


def generated(data: str) -> KnownText | None:
    """The generated corpus that `data` names; None for any other name or path.

    Raises UsageError for parameters that cannot be.
    """
    return named(data, GENERATED)
