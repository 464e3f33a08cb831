"""Debug mode: look at every value and gradient, and name the op that went wrong.

Opened in a block of `debug()` only.
"""

import contextlib
from collections.abc import Iterator

import numpy as np

from minillm.backend.notes import calling_line
from minillm.backend.registry import debug_switch
from minillm.backend.switch import to_numpy
from minillm.backend.writes import watching


@contextlib.contextmanager
def debug() -> Iterator[None]:
    """Check every value and gradient, in this thread, for the length of the block.

    The first NaN, infinity, wrong type or wrong shape raises FloatingPointError,
    TypeError or ValueError with the op's name and the line of the forward call. A rule
    or a pullback that writes into what it is given raises RuntimeError with the op and
    the argument; so does an array that was written into between forward and backward,
    so that the gradient would be that of another place.
    """
    token = debug_switch.set(True)
    try:
        with watching():
            yield
    finally:
        debug_switch.reset(token)


def check_array(array, what: str, dtypes: list) -> None:
    """Raise where an array holds what is no number, or is of none of these types."""
    host = to_numpy(array)
    if not np.isfinite(host).all():
        kind = "NaN" if np.isnan(host).any() else "infinity"
        raise FloatingPointError(f"{what} contains {kind}")
    if array.dtype not in dtypes:
        raise TypeError(f"{what} is {array.dtype}, not {dtypes[0]}")


def watch(result, name: str, tensors: list) -> None:
    """Check an op's value, and have its gradients named by the line of its call.

    `result` and `tensors`, those it was made from, are Tensors.
    """
    origin = f"{name} at {calling_line()}"
    if result.requires_grad:
        result.made_by = origin
    dtypes = [x.dtype for x in tensors] or [result.dtype]
    check_array(result.data, f"the value of {origin}", dtypes)
