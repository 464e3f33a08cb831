"""Check of a faster body against its definition."""

from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike

from minillm import backend
from minillm.tensor import Tensor
from minillm.testing.faults import CheckError
from minillm.testing.point import on_device


def check_body(
    op: Callable,
    *arrays,
    dtype: DTypeLike = np.float64,
    tolerance: float | None = None,
    **settings,
) -> float:
    """Check an op's faster body on the chosen device against its definition.

    Value and each gradient are compared, relative to the largest number in it, or to
    how far the definition moves for each rounding of its inputs, if that is more; an op
    without a faster body is compared with itself. Returns the largest difference.
    Raises CheckError where it exceeds `tolerance`, by default 200 roundings of `dtype`.
    """
    if tolerance is None:
        tolerance = 200 * float(np.finfo(dtype).eps)
    arrays = [x if x is None else backend.to_numpy(x) for x in arrays]
    settings = {name: on_device(value) for name, value in settings.items()}
    found = _value_and_gradients(op, arrays, dtype, settings)
    with backend.plain():
        expected = _value_and_gradients(op, arrays, dtype, settings)
        shaken = _value_and_gradients(op, arrays, dtype, settings, np.finfo(dtype).eps)
    # What is zero in theory is as large as the roundings of what goes in.
    smallest = min(
        (float(np.abs(x).max()) for x in arrays if x is not None and np.size(x)),
        default=1.0,
    )
    worst = 0.0
    for i, (a, b, c) in enumerate(zip(found, expected, shaken, strict=True)):
        what = f"gradient {i - 1}" if i else "value"
        if a.shape != b.shape or a.dtype != b.dtype:
            raise CheckError(
                f"{op.__name__}: the body's {what} is {a.dtype} of shape {a.shape}, "
                f"the definition's {b.dtype} of shape {b.shape}",
                "body",
            )
        jitter = np.abs(c - b).max(initial=0) / np.finfo(dtype).eps
        least = max(min(smallest, 1.0), float(np.finfo(dtype).tiny))
        largest = max(np.abs(b).max(initial=least), jitter)
        difference = float(np.abs(a - b).max(initial=0) / largest)
        if not difference <= tolerance:  # NaN too
            raise CheckError(
                f"{op.__name__}: the body's {what} differs from the definition's by "
                f"{difference:.1e} of its largest number (tolerance {tolerance:.0e})",
                "body",
            )
        worst = max(worst, difference)
    return worst


def _value_and_gradients(op, arrays, dtype, settings, change=0.0) -> list[np.ndarray]:
    """With every number that goes in changed at random by this part of itself."""
    rng = np.random.default_rng(1)

    def shake(x):
        x = np.asarray(x, dtype)
        return (x * (1 + change * rng.choice((-1, 1), x.shape))).astype(dtype)

    tensors = [
        None if x is None else Tensor(shake(x), requires_grad=True) for x in arrays
    ]
    value = op(*tensors, **settings)
    u = np.random.default_rng(0).standard_normal(value.shape)
    value.backward(shake(u))
    gradients = [t.grad for t in tensors if t is not None]
    return [value.numpy(), *map(backend.to_numpy, gradients)]
