"""Debug mode: look at every value and gradient, and name the op that went wrong.

Opened in a block of `debug()` (`registry.py`) only.
"""

import sys
import zlib

import numpy as np

from minillm.backend.registry import debugging
from minillm.backend.switch import to_numpy


def check_array(array, what: str, dtypes: list) -> None:
    """Raise where an array holds what is no number, or is of none of these types."""
    host = to_numpy(array)
    if not np.isfinite(host).all():
        kind = "NaN" if np.isnan(host).any() else "infinity"
        raise FloatingPointError(f"{what} contains {kind}")
    if array.dtype not in dtypes:
        raise TypeError(f"{what} is {array.dtype}, not {dtypes[0]}")


def watch(result, name: str, tensors: list, arrays: list, settings: dict) -> None:
    """Check an op's value, and have its pullbacks raise where, since now, its value or
    an array or a list among its arguments was written into.

    `result` and `tensors`, those it was made from, are Tensors.
    """
    origin = f"{name} at {calling_line()}"
    if result.requires_grad:
        result.made_by = origin
        places = {f"argument {i + 1}": array for i, array in enumerate(arrays)}
        values = {**places, **settings, "the value": result.data}
        before = {what: _contents(value) for what, value in values.items()}
        result.edges = [
            (parents, _guarded(pullback, values, before, origin))
            for parents, pullback in result.edges
        ]
    dtypes = [x.dtype for x in tensors] or [result.dtype]
    check_array(result.data, f"the value of {origin}", dtypes)


def _guarded(pullback, values: dict, before: dict, origin: str):
    def guarded(g):
        for what, value in values.items():
            if debugging() and _contents(value) != before[what]:
                raise RuntimeError(
                    f"{what} of {origin} was changed after the op ran and before its "
                    f"gradient was taken, which would be that of another place: "
                    f"change data after backward(), or a copy of it"
                )
        return pullback(g)

    return guarded


def _contents(value):
    """A short print of what can be written into; of all else, nothing."""
    if isinstance(value, (tuple, list)):
        return [repr(x) if isinstance(x, (int, float)) else _contents(x) for x in value]
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return zlib.crc32(np.asarray(to_numpy(value)).tobytes())
    return None


def calling_line() -> str:
    """The file and line that called the op."""
    frame = sys._getframe()
    inside = ("minillm.backend", "minillm.tensor", "minillm.ops")
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(inside):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
