"""Check that an op computes in the type of its arguments."""

from collections.abc import Callable

import numpy as np

from minillm import backend
from minillm.backend.writes import watching
from minillm.tensor import Tensor
from minillm.testing.faults import CheckError
from minillm.testing.point import on_device


def check_types(op: Callable, *arrays, **settings) -> None:
    """Check that the value and each gradient of an op are of its arguments' type, in
    float32, in which models are trained, and in float64, in which they are checked.

    The arguments are those of `check_gradients`, which does not look at types: float64
    slows training down and changes no gradient. A floating-point array among the
    settings gets the type of the others. Raises CheckError, of kind "float64" or
    "float32" by what is found where the other one belongs.
    """
    for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
        tensors = [
            None if x is None else Tensor(np.array(x, dtype), requires_grad=True)
            for x in arrays
        ]
        given = {name: _typed(on_device(x), dtype) for name, x in settings.items()}
        with np.errstate(all="ignore"), watching(keep=True) as answers:
            value = op(*tensors, **given)
            if value.requires_grad:
                value.backward(backend.current().xp.ones_like(value.data))
        name = getattr(op, "__name__", repr(op))
        found = [("its value", value.data)]
        found += [(f"the pullback of {a.op}", a.array) for a in answers]
        for what, array in found:
            wrong = getattr(array, "dtype", dtype)
            if wrong != dtype and wrong.kind == "f":
                kind = "float64" if wrong == np.float64 else "float32"
                raise CheckError(
                    f"{name}: {wrong} inside: given {dtype}, {what} is {wrong}", kind
                )


def _typed(value, dtype):
    is_float = getattr(getattr(value, "dtype", None), "kind", "") == "f"
    return value.astype(dtype) if is_float else value
