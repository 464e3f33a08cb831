"""The parameters of a loop of one's own, in one flat buffer with their gradients."""

from collections.abc import Iterable

from minillm.errors import UsageError
from minillm.learning.flat import FlatParameters
from minillm.nn import Module
from minillm.tensor import Tensor


class OwnLoop:
    """A module's parameters, or a list of them, which are then known by numbers.

    Their values are moved into `flat`, and backward adds to `gradient`. Raises
    UsageError for what is no parameter, as FlatParameters does.
    """

    def __init__(self, parameters: Module | Iterable[Tensor]):
        module = parameters
        if not isinstance(module, Module):
            module = _Listed(parameters)
        self.flat = FlatParameters(module)
        self.gradient = self.flat.zeros()
        self.flat.collect_gradients(module, self.gradient)
        # (tensor, the view of its value, the view of its gradient) of each.
        self._places = [(p, p.data, p.grad) for p in module.parameters()]

    def gather(self) -> None:
        """Bring what somebody put in the place of a view back into the buffers: a value
        (`p.data = …`), a gradient (`p.grad = …`; None counts as 0)."""
        for p, value, gradient in self._places:
            if p.data is not value:
                value[...] = p.data
                p.data = value
            if p.grad is not gradient:
                gradient[...] = 0 if p.grad is None else p.grad
                p.grad = gradient


class _Listed(Module):
    """Tensors of a list, as a module."""

    def __init__(self, tensors: Iterable[Tensor]):
        if isinstance(tensors, Tensor) or not isinstance(tensors, Iterable):
            raise UsageError(
                f"parameters are a module or a list of tensors, got a single "
                f"{type(tensors).__name__}"
            )
        for i, p in enumerate(tensors):
            if not isinstance(p, Tensor) or not p.requires_grad or p.made_by:
                raise UsageError(
                    f"tensor {i} is no parameter: it must be a leaf with "
                    f"requires_grad=True"
                )
            if any(p is other for other in vars(self).values()):
                raise UsageError("a parameter is listed twice")
            vars(self)[str(i)] = p
