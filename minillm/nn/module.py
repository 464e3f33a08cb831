"""A module is a plain object that holds tensors and other modules."""

import copy
from collections.abc import Iterator
from pathlib import Path

from minillm.errors import UsageError
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
        Raises UsageError where two have one name, as by keys 1 and "1" of a dictionary.
        """
        names = set()
        for name, found in _walk(self, "", set()):
            if isinstance(found, Tensor) and found.made_by is None:
                if name in names:
                    raise UsageError(
                        f"two parameters have the name {name}: rename a key"
                    )
                names.add(name)
                yield name, found

    def parameters(self) -> list[Tensor]:
        return [tensor for _, tensor in self.named_parameters()]

    def save(self, path: str | Path) -> None:
        """Write the parameters by their names to a safetensors file. Raises DataError
        where the disk refuses."""
        from minillm.files import replacing
        from minillm.weights import write_arrays

        arrays = {name: p.data for name, p in self.named_parameters()}
        with replacing(Path(path)) as temporary:
            write_arrays(temporary, arrays)

    def load(self, path: str | Path) -> None:
        """Copy the parameters of a file that `save` wrote of such a module into this
        one's. Raises DataError for other names, shapes or types, and changes nothing
        then."""
        from minillm.weights import fill

        fill({name: p.data for name, p in self.named_parameters()}, Path(path))

    def __repr__(self) -> str:
        """Every layer that has parameters of its own, with their shapes and number; of
        many layers the first and the last."""
        from minillm import display  # opened when something is shown

        return display.module_text(self, _walk(self, "", set()))

    def _repr_html_(self) -> str:
        from minillm import display

        return display.module_html(self, _walk(self, "", set()))

    def modules(self) -> Iterator["Module"]:
        """Every module of the tree, this one first."""
        for _, found in _walk(self, "", set()):
            if isinstance(found, Module):
                yield found

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
