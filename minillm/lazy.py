"""Lazy packages: a name is offered at once, its file is opened when it is first used.

    __all__, __getattr__, __dir__ = lazy_names(__name__, {"batch": ["Batch"]})

`from minillm.text import Batch` then opens `minillm/text/batch.py` and nothing beside
it: who trains on a text file does not pay for the readers of tables, nor wait for a
library that is not needed (PEP 562).
"""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence


def lazy_names(
    package: str, files: Mapping[str, Sequence[str]]
) -> tuple[list[str], Callable, Callable]:
    """`__all__`, `__getattr__` and `__dir__` of a package, from the names that it hands
    on, by the file below it that defines them."""
    place = {name: file for file, names in files.items() for name in names}

    def getattribute(name: str):
        if name not in place:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            value = getattr(importlib.import_module(f"{package}.{place[name]}"), name)
        except AttributeError as error:  # of the file: the name itself is known
            raise ImportError(f"{package}.{place[name]}: {error}") from error
        setattr(sys.modules[package], name, value)  # not asked again
        return value

    return (
        sorted(place),
        getattribute,
        lambda: sorted({*vars(sys.modules[package]), *place}),
    )
