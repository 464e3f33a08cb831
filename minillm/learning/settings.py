"""A setting of `TrainConfig`: its default, its help, what it may be, its word."""

import dataclasses
import math
import numbers
import os
import typing
from collections.abc import Iterable

from minillm.errors import DataError, UsageError, brief
from minillm.models.architectures import OWN, architecture, usual
from minillm.nn.config import CHOICES, check_choice

# Plain descent has no scale of its own: of 0.0075, 0.1, 0.3 and 1 at width 16, the two
# in the middle were the best.
SGD_LR = 0.2
LONGEST_NAME, LONGEST_PATH = 255, 4096  # bytes that a disk has room for
OWN_LR = 3e-3  # of a model of one's own, whose width is not known
# The command's words for a model's shape, and the names that they have here.
WORDS = {
    "layers": "n_layers",
    "width": "d_model",
    "heads": "n_heads",
    "kv_heads": "n_kv_heads",
}


def setting(
    default,
    help: str,
    *,
    metavar: str | None = None,
    choices: Iterable[str] = (),
    rare: bool = False,
    low: float = 1,
    below: float = math.inf,
    most: float = math.inf,
):
    """A field of `TrainConfig`: its default, what `minillm train --help` says of its
    option, and what it may be. What is `rare` is not in `--help`."""
    about = {"help": help, "metavar": metavar, "choices": tuple(choices), "rare": rare}
    limits = {"low": low, "below": below, "most": most}
    return dataclasses.field(default=default, metadata={**about, **limits})


def of_model(name: str, help: str, metavar: str | None = None):
    """A field of `nn.config.DESIGN`: by default what is usual for the architecture."""
    return setting(None, help, metavar=metavar or "|".join(CHOICES.get(name, ())))


def checked(field: dataclasses.Field, value):
    """A value that a setting may have: text for what may stand for it, else as it is.

    Raises UsageError.
    """
    if value is None and field.default is None:
        return value
    kind = kind_of(field)
    if kind is bool:
        check_choice(field.name, value, (True, False))
    elif kind is str:
        return _checked_text(field, value)
    else:
        _check_number(field, value, whole=kind is int)
    return value


def _checked_text(field: dataclasses.Field, value) -> str:
    if isinstance(value, os.PathLike | int):
        value = str(value)
    if not isinstance(value, str):
        raise UsageError(f"{field.name} must be text, got {value!r}")
    check_name(field.name, value)
    choices = field.metadata["choices"]
    if choices and field.default is not None:  # `resolve` says more of the others
        check_choice(field.name, value, choices)
    return value


def check_name(name: str, value: str | None) -> None:
    """Raises UsageError for the name of a file that a record could not hold, and for a
    folder without a name, as of a variable that is not set; DataError for one that no
    disk has a place for."""
    if name == "out" and value == "":
        raise UsageError("out is empty: name a folder, or leave it out")
    try:
        (value or "").encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(
            f"{name} {value!a} is no name in UTF-8: choose another one (or, if it is, "
            f"set PYTHONUTF8=1)"
        ) from None
    parts = (value or "").encode("utf-8").split(os.sep.encode())
    longest = max(map(len, parts))
    if name == "out" and (longest > LONGEST_NAME or len(value or "") > LONGEST_PATH):
        raise DataError(f"{brief(value)}: File name too long")


def kind_of(field: dataclasses.Field) -> type:
    """The type of a field, beside None."""
    return (typing.get_args(field.type) or (field.type,))[0]


def _check_number(field: dataclasses.Field, value, whole: bool) -> None:
    name, limits = field.name, field.metadata
    if name in WORDS.values():
        name = f"{word(name)} ({name})"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        what = "a whole number" if whole else "a number"
        raise UsageError(f"{name} must be {what}, got {value!r}")
    low, below, most = limits["low"], limits["below"], limits["most"]
    if not low <= value < below:  # not for NaN either
        end = "" if whole else " and finite"
        if below < math.inf:
            end = f" and below {below}"
        raise UsageError(f"{name} must be at least {low}{end}, got {value}")
    if value > most:
        raise UsageError(f"{name} must be at most {most:,}, got {value}")


def check_settings(*, below: float = math.inf, **settings) -> None:
    """Raises UsageError for a setting that is no number from 0 to `below`."""
    for name, value in settings.items():
        if not isinstance(value, numbers.Real) or not 0 <= value < below:
            end = "finite" if below == math.inf else f"below {below}"
            raise UsageError(
                f"{name} must be a number of at least 0 and {end}, got {value!r:.60}"
            )


def flag(name: str) -> str:
    """The option of `minillm train` that sets a field."""
    return "--" + word(name).replace("_", "-")


def word(name: str) -> str:
    """The command's word for a field."""
    return next((word for word, field in WORDS.items() if field == name), name)


def peak_lr(
    d_model: int, arch: str = "gpt", norm: str | None = None, at_32: float = 0.0075
) -> float:
    """The largest learning rate of a run by width: at_32·(32/d_model)^0.8, measured at
    widths 16 to 128; an architecture may have factors of its own. norm: the usual one
    of the architecture, unless another is named."""
    if arch == OWN:
        return OWN_LR
    lr = at_32 * (32 / d_model) ** 0.8 * architecture(arch).lr_factor
    if (norm or usual(arch)["norm"]) == "post":
        lr *= architecture(arch).post_norm_lr_factor
    return lr


def last_lr(lr: float, schedule: str) -> float | None:
    """The rate that a schedule falls to, where nothing else is said."""
    return {"cosine": lr / 10, "wsd": 0.0, "constant": None}[schedule]
