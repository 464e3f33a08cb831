"""Does an op's faster body do what its definition says?"""

import numpy as np

from minillm import backend
from minillm.tensor import Tensor
from minillm.testing.gradients import CheckError, on_device


def check_body(
    op, *arrays, dtype=np.float64, tolerance: float | None = None, **settings
) -> float:
    """Check an op's faster body on the chosen device against its definition.

    Value and gradients are compared, relative to the largest number among them and the
    inputs; an op without a faster body is compared with itself. Returns the largest
    difference. Raises CheckError where it exceeds `tolerance`, by default 200 roundings
    of `dtype`.
    """
    if tolerance is None:
        tolerance = 200 * float(np.finfo(dtype).eps)
    settings = {name: on_device(value) for name, value in settings.items()}
    found = _value_and_gradients(op, arrays, dtype, settings)
    with backend.plain():
        expected = _value_and_gradients(op, arrays, dtype, settings)
    inputs = [np.asarray(x, dtype) for x in arrays if x is not None]
    smallest = np.finfo(dtype).tiny
    largest = max(np.abs(a).max(initial=smallest) for a in [*inputs, *expected])
    worst = 0.0
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        what = f"gradient {i - 1}" if i else "value"
        if a.shape != b.shape or a.dtype != b.dtype:
            raise CheckError(
                f"{op.__name__}: the body's {what} is {a.dtype} of shape {a.shape}, "
                f"the definition's {b.dtype} of shape {b.shape}"
            )
        difference = float(np.abs(a - b).max(initial=0) / largest)
        if not difference <= tolerance:  # NaN too
            raise CheckError(
                f"{op.__name__}: the body's {what} differs from the definition's by "
                f"{difference:.1e} of the largest number (tolerance {tolerance:.0e})"
            )
        worst = max(worst, difference)
    return worst


def _value_and_gradients(op, arrays, dtype, settings) -> list[np.ndarray]:
    tensors = [
        None if x is None else Tensor(np.asarray(x, dtype), requires_grad=True)
        for x in arrays
    ]
    value = op(*tensors, **settings)
    u = np.random.default_rng(0).standard_normal(value.shape)
    value.backward(u)
    gradients = [t.grad for t in tensors if t is not None]
    return [value.numpy(), *map(backend.to_numpy, gradients)]
