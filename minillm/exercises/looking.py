"""What properties are made of: look at a value, at gradients, at types.

Each raises Failure, or a CheckError of `minillm.testing`, with a kind and in words.
"""

import functools
import inspect
from collections.abc import Callable, Iterable

import numpy as np

from minillm.backend import to_numpy
from minillm.exercises.cases import shown
from minillm.exercises.exercise import Failure
from minillm.tensor import Tensor
from minillm.testing import CheckError, check_gradients, check_types
from minillm.testing.point import Point

TOLERANCE = 1e-9
FLOAT64 = (
    "np.zeros(3) and np.sqrt(2.0) are float64, and so is float32 divided by int64: "
    "say dtype=, or use Python's numbers, as of math.sqrt"
)
SMALL = 1e-3  # below it, an error is as large as it is


def array_of(found, what: str) -> np.ndarray:
    """The numbers of an array or a Tensor. Raises Failure for anything else."""
    if isinstance(found, Tensor):
        return found.numpy()
    if found is None:
        raise Failure("type", f"{what} is None: is a `return` missing?")
    try:
        array = np.asarray(to_numpy(found) if hasattr(found, "dtype") else found)
        if array.dtype.kind in "biufc":
            return array
    except (TypeError, ValueError):
        pass
    raise Failure("type", f"{what} is {type(found).__name__}, an array is expected")


def equal(
    found,
    expected,
    what: str,
    *,
    tolerance: float = TOLERANCE,
    instead: Iterable[tuple[str, np.ndarray, str]] = (),
) -> None:
    """Look whether numbers are the expected ones, relative to the largest of them.

    instead: (kind, numbers, sentence) of common mistakes, told by the numbers that they
    give.
    """
    found, expected = array_of(found, what), np.asarray(expected)
    for kind, numbers, sentence in instead:
        if _same(found, numbers, tolerance) and not _same(found, expected, tolerance):
            raise Failure(kind, f"{sentence}\n{_both(what, found, expected)}")
    if found.shape != expected.shape:
        raise Failure(
            "shape",
            f"{what} has shape {found.shape}, expected is {expected.shape}\n"
            f"{_both(what, found, expected)}",
        )
    if _same(found, expected, tolerance):
        return
    kind, sentence = _kind(found, expected, tolerance)
    raise Failure(kind, f"{sentence}\n{_both(what, found, expected)}")


def _both(what: str, found, expected) -> str:
    return f"  {what}: expected {shown(expected)}\n  yours: {shown(found)}"


def _same(found: np.ndarray, expected, tolerance: float) -> bool:
    expected = np.asarray(expected)
    if found.shape != expected.shape:
        return False
    # Numbers near 1 may add up to nothing but rounding.
    scale = max(float(np.abs(expected[np.isfinite(expected)]).max(initial=0)), SMALL)
    return np.allclose(found, expected, rtol=0, atol=tolerance * scale, equal_nan=True)


def _kind(found, expected, tolerance: float) -> tuple[str, str]:
    """What can be told of wrong numbers by themselves."""
    if np.isfinite(expected).all() and not np.isfinite(found).all():
        return "not finite", "There are numbers that are not finite (nan or inf)."
    if expected.any() and not found.any():
        return "zero", "Every number is 0."
    if _same(found, -expected, tolerance):
        return "sign", "Every number has the wrong sign."
    if expected.ndim > 1 and _same(found, expected.swapaxes(-1, -2), tolerance):
        return "transposed", "The last two axes have changed places."
    large = np.abs(expected) > 1e-3 * np.abs(expected).max(initial=0)
    ratios = found[large] / expected[large]
    if ratios.size > 1 and np.ptp(ratios) <= 1e-6 * abs(ratios.mean()):
        return "factor", f"Every number is {ratios.mean():.6g} × what it should be."
    n = int((np.abs(found - expected) > tolerance).sum())
    return "value", f"{n} of {expected.size} numbers are wrong."


def gradients(op: Callable, *arrays, only: tuple[str, ...] = (), **settings) -> None:
    """Look at the gradients of an op against differences of the op itself.

    only: the names of the arguments whose gradients are looked at; by default all.
    """
    if only:
        op, arrays = _of_some(op, arrays, only)
    try:
        check_gradients(op, *arrays, **settings)
    except CheckError as error:
        # What was recognised comes first, the numbers after it.
        first, *others = str(error).splitlines()
        if "central differences" in first:
            others.append(_g(op, arrays, settings))
        if others and others[0].strip().endswith("."):
            first, others = others[0].strip(), [f"  {first}", *others[1:]]
        raise Failure(error.kind, "\n".join([first, *others])) from error


def _g(op: Callable, arrays, settings: dict) -> str:
    """What the check gives to the pullbacks, to compute a case by hand."""
    return f"  with g = {shown(Point(op, arrays, settings, seed=0).u)}"


def _of_some(op: Callable, arrays: tuple, only: tuple) -> tuple[Callable, list]:
    """The op as a function of some of its arguments, and these."""
    names = [*inspect.signature(op).parameters][: len(arrays)]
    places = [names.index(name) for name in only]

    @functools.wraps(op)  # with its `rule`, by which a check knows an op
    def of_some(*tensors, **settings):
        inputs = [None if x is None else np.array(x) for x in arrays]
        for i, tensor in zip(places, tensors, strict=True):
            inputs[i] = tensor
        return op(*inputs, **settings)

    kind = inspect.Parameter.POSITIONAL_ONLY
    shown = [inspect.Parameter(name, kind) for name in only]
    of_some.__signature__ = inspect.Signature(shown)
    return of_some, [arrays[i] for i in places]


def types(op: Callable, *arrays, **settings) -> None:
    """Look whether float64 creeps into float32, or float32 into float64."""
    try:
        check_types(op, *arrays, **settings)
    except CheckError as error:
        if error.kind != "float64":
            raise
        raise Failure(error.kind, f"{error}\n  {FLOAT64}") from error
