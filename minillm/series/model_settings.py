"""Settings of all models of a series, beside their architecture: `scale --set`."""

from collections.abc import Iterable

from minillm.errors import UsageError
from minillm.learning.config import translated
from minillm.learning.settings import word
from minillm.nn.config import DESIGN

# The rest follows from the ladder and the width.
OF_MODEL = (*DESIGN, "n_kv_heads")


def read(words: Iterable[str]) -> dict:
    """{"n_kv_heads": 1} of ["kv_heads=1"]: settings of the model, in the words of
    `train`. Raises UsageError."""
    found = {}
    for given in words:
        name, equals, text = given.partition("=")
        if not (name and equals and text):
            raise UsageError(
                f"--set {given}: a setting and its value are needed, as in "
                f"--set positions=rotary"
            )
        value = {"true": True, "false": False}.get(text, text)
        found[name.replace("-", "_")] = int(text) if text.isdecimal() else value
    return found


def written(model: dict) -> list[str]:
    """["n_kv_heads=1"]: what `read` reads."""
    return [f"{name}={str(value).lower()}" for name, value in model.items()]


def checked(settings: dict) -> dict:
    """The same by the names of `OF_MODEL`. Raises UsageError for any other."""
    by_name = translated(settings)
    for said, name in zip(settings, by_name, strict=True):
        if name not in OF_MODEL:
            raise UsageError(
                f"a series has no setting {said!r} of its models: choose among "
                f"{', '.join(map(word, OF_MODEL))}"
            )
    return by_name
