"""Generated texts and tasks by name: `facts`, `lexicon:words=500,seed=2`, `reverse`."""

from minillm.errors import UsageError, option
from minillm.text.synthetic.brackets import Brackets
from minillm.text.synthetic.facts import Facts
from minillm.text.synthetic.induction import Induction
from minillm.text.synthetic.languages import Languages
from minillm.text.synthetic.lexicon import Lexicon
from minillm.text.synthetic.numbers import Numbers
from minillm.text.synthetic.recipe import KnownText, Recipe, Toy
from minillm.text.synthetic.strings import Copy, Reverse
from minillm.text.synthetic.topics import Topics

GENERATED = {kind.name: kind for kind in (Facts, Lexicon)}
TOYS = {
    toy.name: toy
    for toy in (Copy, Reverse, Numbers, Languages, Brackets, Topics, Induction)
}
KINDS = {
    "text": "a text",
    "documents": "a text of documents",
    "pairs": "pairs of texts",
    "labels": "texts with labels",
}


def generated(data: str) -> KnownText | None:
    """The generated corpus that `data` names; None for any other name or path.

    Raises UsageError for parameters that cannot be.
    """
    return _named(data, GENERATED)


def generated_task(data: str, *kinds: str) -> Toy | None:
    """The generated task that `data` names; None for any other name or path.

    Raises UsageError for parameters that cannot be, and for a task of none of these
    `kinds` ("text", "documents", "pairs", "labels"), where some are given.
    """
    toy = _named(data, TOYS)
    if toy and kinds and toy.kind not in kinds:
        raise UsageError(
            f"{data} is {KINDS[toy.kind]}, for {option('objective', toy.objective)}; "
            f"it cannot "
            f"be read as {KINDS[kinds[0]]}"
        )
    return toy


def _named(data: str, recipes: dict[str, type[Recipe]]) -> Recipe | None:
    name, colon, parameters = data.partition(":")
    if name not in recipes:
        return None
    recipe = recipes[name]
    return recipe.parse(parameters) if colon else recipe()
