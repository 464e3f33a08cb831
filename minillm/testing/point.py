"""A function at one point: its value, what its pullbacks make of u, and names."""

import contextlib
import inspect
from collections.abc import Callable, Iterator

import numpy as np

from minillm import backend
from minillm.backend.pullbacks import GradientShapeError
from minillm.backend.writes import WriteError, watching
from minillm.tensor import Tensor, no_grad
from minillm.testing import diagnosis
from minillm.testing.faults import CheckError
from minillm.testing.jacobians import element_name


class Point:
    """`fn(*inputs, **settings)`. Its first run is watched for whatever breaks the
    contract of an op: it raises CheckError then."""

    def __init__(self, fn, arrays, settings, seed: int):
        self.fn = fn
        self.name = getattr(fn, "__name__", repr(fn))
        self.inputs = [None if a is None else np.array(a, np.float64) for a in arrays]
        self.settings = {name: on_device(value) for name, value in settings.items()}
        # Not default_rng(seed), which the arrays may come from: u must not be like x.
        self.rng = np.random.default_rng([seed, 1])
        with self._watched():
            tensors, result = self.run()
            if not isinstance(result, Tensor):
                kind = type(result).__name__
                raise TypeError(f"{self.name} returns {kind}, no Tensor")
            self.value = result.numpy().copy()
            if not np.isfinite(self.value).all():
                raise CheckError(
                    f"{self.name}: its value at this point is not finite", "not finite"
                )
            if not np.array_equal(self.value, self.evaluate(self.inputs)):
                raise CheckError(
                    f"{self.name}: gives other values for the same inputs a second "
                    f"time: fix what is random in it",
                    "random",
                )
            self.u = self.random(self.value.shape)
            self.gradients = _pulled(tensors, result, self.u)
        # Which inputs a gradient arrives at, be it of zeros.
        self.reached = [t is not None and t.grad is not None for t in tensors]

    def run(self) -> tuple[list, Tensor]:
        """The inputs as tensors that collect gradients, and what fn makes of them."""
        tensors = [
            None if x is None else Tensor(x, requires_grad=True) for x in self.inputs
        ]
        return tensors, self.fn(*tensors, **self.settings)

    def pulled(self, u) -> list[np.ndarray | None]:
        """The gradient of ⟨u, fn⟩ with respect to each input."""
        return _pulled(*self.run(), u)

    def random(self, shape) -> np.ndarray:
        """Numbers of both signs, none near zero: nothing hides behind a small one."""
        return self.rng.uniform(0.5, 1, shape) * self.rng.choice((-1.0, 1.0), shape)

    def alone(self, i: int) -> Callable:
        """The function of one input alone."""

        def at(x: np.ndarray) -> np.ndarray:
            with np.errstate(all="ignore"):  # a step may leave the domain
                return self.evaluate([*self.inputs[:i], x, *self.inputs[i + 1 :]])

        return at

    def evaluate(self, inputs) -> np.ndarray:
        with no_grad():
            tensors = [None if x is None else Tensor(x) for x in inputs]
            return self.fn(*tensors, **self.settings).numpy()

    def element_name(self, i: int, place: int) -> str:
        return element_name(self.input_name(i), self.inputs[i].shape, place)

    def input_name(self, i: int) -> str:
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

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """What breaks the contract, as CheckError with its kind."""
        try:
            with watching(keep=True):
                yield
        except WriteError as error:
            raise CheckError(str(error), error.kind) from error
        except GradientShapeError as error:
            self._complain_of_shape(error)

    def _complain_of_shape(self, error: GradientShapeError):
        gradient = backend.to_numpy(error.gradient)
        kind, says = "shape", ""
        fitting = [i for i, x in enumerate(self.inputs) if _shape(x) == error.shape]
        if len(fitting) == 1 and hasattr(self.fn, "rule"):
            kind, says = diagnosis.of_shape(self, fitting[0], gradient)
        says = f"{error}. {says}" if says else str(error)
        raise CheckError(f"{self.name}: {says}", kind) from error


def _shape(x):
    return None if x is None else x.shape


def _pulled(tensors, result, u) -> list[np.ndarray | None]:
    if result.requires_grad:
        result.backward(u)
    return [_gradient(tensor) for tensor in tensors]


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
