"""The exercises in course order."""

import importlib
from functools import cache

from minillm.errors import UsageError
from minillm.exercises.exercise import Exercise

# A sheet is a file of `sheets/`; an exercise builds on earlier ones only.
SHEETS = (
    "mul",
    "matmul",
    "unbroadcast",
    "topological_order",
    "backward",
    "softmax",
    "cross_entropy",
    "layer_norm",
    "embedding",
    "gelu",
    "dropout",
    "attention",
    "heads",
    "cache",
    "adamw",
    "schedule",
    "clipping",
    "masked",
    "bpe",
    "sampling",
    "beams",
    "residual",
    "gpt",
    "law",
)


@cache
def exercise_of(name: str) -> Exercise:
    """The exercise of this name. Raises UsageError."""
    if name not in SHEETS:
        raise UsageError(f"no exercise {name!r}: choose among {', '.join(SHEETS)}")
    return importlib.import_module(f"minillm.exercises.sheets.{name}").exercise


def number_of(name: str) -> int:
    """Exercises are numbered from 1."""
    return SHEETS.index(name) + 1


def file_name(name: str) -> str:
    """The name of the student's file: 03_softmax.py."""
    return f"{number_of(name):02d}_{name}.py"


def named(text: str) -> str:
    """The exercise meant by its name, its number or its file. Raises UsageError."""
    word = text.replace("\\", "/").rpartition("/")[2].removesuffix(".py")
    if word.isdecimal() and 1 <= int(word) <= len(SHEETS):
        return SHEETS[int(word) - 1]
    number, _, rest = word.partition("_")
    name = rest if rest and number.isdecimal() else word
    exercise_of(name)
    return name
