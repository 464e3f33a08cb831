"""A module is a plain object that holds tensors and other modules."""

import copy
from collections.abc import Iterator

from minillm.tensor import Tensor


class Module:
    """Finds its parameters by looking at its own attributes. There is no registration,
    and no training mode: whoever wants dropout passes a `Noise`.

    A parameter is a leaf that requires a gradient, in an attribute of the module, or in
    modules, lists, tuples and dictionaries that lie there. What an op made is none: a
    layer may keep its activations to look at them later. A leaf that must not be
    trained has `requires_grad = False`.
    """

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(name, tensor) of every parameter, in the order of definition.

        A parameter that is used twice (tied weights) comes once, under its first name.
        """
        for name, found in _walk(self, "", set()):
            if isinstance(found, Tensor) and found.made_by is None:
                yield name, found

    def parameters(self) -> list[Tensor]:
        return [tensor for _, tensor in self.named_parameters()]

    def modules(self) -> Iterator["Module"]:
        """Every module of the tree, this one first."""
        for _, found in _walk(self, "", set()):
            if isinstance(found, Module):
                yield found

    def flops(self, n_keys: int) -> float:
        """FLOPs of a forward pass for one token that no matrix among the parameters
        tells of: attention to `n_keys` keys has some, all other layers none. Those of
        the modules that this one holds are not in it."""
        return 0.0

    def zero_grad(self) -> None:
        """Forget all gradients.

        Not in a training run, where they are views of a flat buffer (`FlatParameters`)
        that `Worker.compute` fills with zeros instead.
        """
        for tensor in self.parameters():
            tensor.grad = None

    def replica(self) -> "Module":
        """A copy of the module tree over the same weights, with its own gradients.

        An activation that was kept is kept without its history.
        """
        # What `deepcopy` takes for copied already, by id: a tensor over the same array.
        same_numbers = {
            id(found): Tensor(found.data, requires_grad=found.made_by is None)
            for _, found in _walk(self, "", set())
            if isinstance(found, Tensor)
        }
        return copy.deepcopy(self, same_numbers)


def _walk(value, name: str, seen: set[int]) -> Iterator[tuple[str, Tensor | Module]]:
    """Every module, and every tensor that requires a gradient, once; `seen` holds what
    was met before, so that a module may hold the one that holds it."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        if value.requires_grad:
            yield name, value
        return
    if isinstance(value, Module):
        yield name, value
        children = vars(value).items()
    elif isinstance(value, dict):
        children = value.items()
    elif isinstance(value, (list, tuple)):
        children = enumerate(value)
    else:
        return
    for key, child in children:
        yield from _walk(child, f"{name}.{key}" if name else str(key), seen)
