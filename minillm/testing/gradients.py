"""Does a gradient agree with what the function itself does when its input moves?

For a function f, a direction v of its input and weights u of its output, the pullback
must satisfy ⟨pullback(u), v⟩ = d/dt ⟨u, f(x + t·v)⟩ at t = 0. The right-hand side is
measured by a central difference. One random direction tells almost surely whether a
gradient is right, with two evaluations of f however large x is (four where f bends so
much that the difference is not exact enough).
"""

import inspect

import numpy as np

from minillm import backend
from minillm.tensor import Tensor, no_grad

# A central difference errs by about h² (bending) + ε/h (rounding): least at h = ∛ε.
STEP = float(np.cbrt(np.finfo(np.float64).eps))
# Errors are relative to no less than this: where a slope is zero in theory, as that of
# a softmax over one number, rounding is all there is to see.
SMALLEST = 1e-3


class CheckError(AssertionError):
    """A gradient or a faster body is not what it should be."""


def check_gradients(
    fn,
    *arrays,
    elements: bool = False,
    tolerance: float = 1e-6,
    seed: int = 0,
    **settings,
) -> float:
    """Check the gradient of `fn(*arrays, **settings)` with respect to each array.

    `fn` takes Tensors and returns one: an op, a layer, or a function of your own. The
    arrays (anything `np.array` takes; None is handed on) become float64 Tensors on the
    chosen device; arrays among the settings are moved there. Each input is checked by
    itself along a random direction, with `elements=True` along every axis instead.

    Returns the largest error found, relative to the larger of the two slopes (or to
    Σ|u·f|, where that is larger: differences of large numbers are less exact). Raises
    CheckError where it exceeds `tolerance`, naming the input (and the index) and both
    numbers.
    """
    check = _Check(fn, arrays, settings, tolerance, seed)
    find = check.every_element if elements else check.one_direction
    worst = 0.0
    for i, x in enumerate(check.inputs):
        if x is not None and x.size:
            error, where, pulled, measured = find(i)
            if not error <= tolerance:  # NaN too
                raise CheckError(
                    f"{check.name}: the gradient with respect to {where} is wrong: the "
                    f"pullback says {pulled:.9g}, central differences say "
                    f"{measured:.9g} (relative error {error:.1e}, tolerance "
                    f"{tolerance:.0e})"
                )
            worst = max(worst, error)
    return worst


class _Check:
    """A function at one point, with random weights u for its output."""

    def __init__(self, fn, arrays, settings, tolerance, seed):
        self.fn = fn
        self.tolerance = tolerance
        self.name = getattr(fn, "__name__", repr(fn))
        self.inputs = [None if a is None else np.array(a, np.float64) for a in arrays]
        self.settings = {name: on_device(value) for name, value in settings.items()}
        self.rng = np.random.default_rng(seed)
        tensors = [
            None if x is None else Tensor(x, requires_grad=True) for x in self.inputs
        ]
        result = fn(*tensors, **self.settings)
        if not isinstance(result, Tensor):
            raise TypeError(f"{self.name} returns {type(result).__name__}, no Tensor")
        value = result.numpy().copy()
        if not np.isfinite(value).all():
            raise CheckError(f"{self.name}: its value at this point is not finite")
        if not np.array_equal(value, self.evaluate(self.inputs)):
            raise CheckError(
                f"{self.name}: gives other values for the same inputs a second time: "
                f"fix what is random in it"
            )
        self.u = self.rng.standard_normal(value.shape)
        self.size = float(np.abs(self.u * value).sum())
        if result.requires_grad:
            result.backward(self.u)
        self.gradients = [_gradient(tensor) for tensor in tensors]

    def one_direction(self, i: int):
        """(relative error, where, the pullback's slope, the measured one)"""
        v = self.rng.standard_normal(self.inputs[i].shape)
        return self._compare(i, v, f"{self._input_name(i)} along a random direction")

    def every_element(self, i: int):
        """The same along each axis; the worst of them."""
        found = []
        for index in np.ndindex(self.inputs[i].shape):
            v = np.zeros(self.inputs[i].shape)
            v[index] = 1
            place = ", ".join(map(str, index))
            found.append(self._compare(i, v, f"{self._input_name(i)}[{place}]"))
        return max(found, key=lambda result: np.nan_to_num(result[0], nan=np.inf))

    def _compare(self, i, v, where):
        pulled = float((self.gradients[i] * v).sum())
        h = STEP * max(1.0, float(np.abs(self.inputs[i]).max()))
        measured = self._difference(i, v, h)
        if not self._error(pulled, measured) <= self.tolerance:
            # Richardson's extrapolation: with half the step, bending errs a quarter.
            measured = (4 * self._difference(i, v, h / 2) - measured) / 3
        return self._error(pulled, measured), where, pulled, measured

    def _error(self, pulled: float, measured: float) -> float:
        scale = max(abs(pulled), abs(measured), self.size, SMALLEST)
        return abs(pulled - measured) / scale

    def _difference(self, i: int, v, h: float) -> float:
        """d/dt ⟨u, f(x + t·v)⟩ as a central difference."""
        ends = []
        for t in (h, -h):
            moved = list(self.inputs)
            moved[i] = moved[i] + t * v
            ends.append(float((self.u * self.evaluate(moved)).sum()))
        return (ends[0] - ends[1]) / (2 * h)

    def evaluate(self, inputs) -> np.ndarray:
        with no_grad():
            tensors = [None if x is None else Tensor(x) for x in inputs]
            return self.fn(*tensors, **self.settings).numpy()

    def _input_name(self, i: int) -> str:
        try:
            parameters = list(inspect.signature(self.fn).parameters.values())
        except (TypeError, ValueError):  # built-ins have no signature
            return f"input {i}"
        for j, parameter in enumerate(parameters):
            if parameter.kind is parameter.VAR_POSITIONAL:
                return f"{parameter.name}[{i - j}]"
            if i == j:
                return parameter.name
        return f"input {i}"


def _gradient(tensor) -> np.ndarray | None:
    if tensor is None:
        return None
    if tensor.grad is None:  # the function does not depend on it
        return np.zeros(tensor.shape)
    return backend.to_numpy(tensor.grad)


def on_device(value):
    """A setting with its arrays moved to the chosen device."""
    if isinstance(value, np.ndarray):
        return backend.current().asarray(value)
    if isinstance(value, (tuple, list)):
        return type(value)(on_device(part) for part in value)
    return value
