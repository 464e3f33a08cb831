"""Debug mode: look at every value and gradient, and name the op that went wrong."""

import contextlib
import contextvars
import sys
import zlib

import numpy as np

from minillm.backend.switch import to_numpy

_debugging = contextvars.ContextVar("debugging", default=False)


@contextlib.contextmanager
def debug():
    """Check every value and gradient, in this thread, for the length of the block.

    The first NaN, infinity, wrong type or wrong shape raises FloatingPointError,
    TypeError or ValueError with the op's name and the line of the forward call. An
    array that was written into between forward and backward, so that the gradient would
    be that of another place, raises RuntimeError.
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


def guarding(values: dict, origin: str):
    """A decorator of pullbacks: they raise where, since now, an array or a list among
    these arguments of their op was written into."""
    before = {what: _contents(value) for what, value in values.items()}

    def guard(pullback):
        def guarded(g):
            for what, value in values.items():
                if debugging() and _contents(value) != before[what]:
                    raise RuntimeError(
                        f"{what} of {origin} was changed after the op ran and before "
                        f"its gradient was taken, which would be that of another "
                        f"place: change data after backward(), or a copy of it"
                    )
            return pullback(g)

        return guarded

    return guard


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
