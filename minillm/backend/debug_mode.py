"""Debug mode: look at every value and gradient, and name the op that went wrong."""

import contextlib
import contextvars
import sys

import numpy as np

from minillm.backend.switch import to_numpy

_debugging = contextvars.ContextVar("debugging", default=False)


@contextlib.contextmanager
def debug():
    """Check every value and gradient, in this thread, for the length of the block.

    The first NaN, infinity, wrong type or wrong shape raises FloatingPointError,
    TypeError or ValueError with the op's name and the line of the forward call.
    """
    token = _debugging.set(True)
    try:
        yield
    finally:
        _debugging.reset(token)


def debugging() -> bool:
    return _debugging.get()


def check_array(array, what: str, dtypes: list) -> None:
    """Raise where an array holds what is no number, or is of none of these types."""
    host = to_numpy(array)
    if not np.isfinite(host).all():
        kind = "NaN" if np.isnan(host).any() else "infinity"
        raise FloatingPointError(f"{what} contains {kind}")
    if array.dtype not in dtypes:
        raise TypeError(f"{what} is {array.dtype}, not {dtypes[0]}")


def calling_line() -> str:
    """The file and line that called the op."""
    frame = sys._getframe()
    inside = ("minillm.backend", "minillm.tensor", "minillm.ops")
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(inside):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
