"""A module is a plain object that holds tensors and other modules."""

import copy
from collections.abc import Iterator

from minillm.tensor import Tensor


class Module:
    """Finds its parameters by looking at its own attributes. There is no registration,
    and no training mode: whoever wants dropout passes a `Noise`."""

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(name, tensor) of every parameter, in the order of definition.

        A parameter that is used twice (tied weights) comes once, under its first name.
        """
        seen = set()
        for name, tensor in _walk(self, ""):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                yield name, tensor

    def parameters(self) -> list[Tensor]:
        return [tensor for _, tensor in self.named_parameters()]

    def modules(self) -> Iterator["Module"]:
        """Every module of the tree, this one first."""
        yield from _modules(self, set())

    def zero_grad(self) -> None:
        """Forget all gradients.

        Not in a training run, where they are views of a flat buffer (`FlatParameters`)
        that `Replica.compute` fills with zeros instead.
        """
        for tensor in self.parameters():
            tensor.grad = None

    def replica(self) -> "Module":
        """A copy of the module tree over the same weights, with its own gradients."""
        same_weights = {
            id(tensor): Tensor(tensor.data, requires_grad=True)
            for tensor in self.parameters()
        }
        return copy.deepcopy(self, same_weights)


def _walk(value, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        if value.requires_grad:
            yield name, value
        return
    if isinstance(value, Module):
        children = vars(value).items()
    elif isinstance(value, dict):
        children = value.items()
    elif isinstance(value, (list, tuple)):
        children = enumerate(value)
    else:
        return
    for key, child in children:
        yield from _walk(child, f"{name}.{key}" if name else str(key))


def _modules(value, seen: set[int]) -> Iterator[Module]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Module):
        yield value
        children = vars(value).values()
    elif isinstance(value, dict):
        children = value.values()
    elif isinstance(value, (list, tuple)):
        children = value
    else:
        return
    for child in children:
        yield from _modules(child, seen)
