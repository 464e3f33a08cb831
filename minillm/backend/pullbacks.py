"""Pullbacks: how a rule returns them, and what they take and return.

A pullback turns the gradient with respect to an op's value into the gradient with
respect to one argument, or, where it is `joint`, to all of them. Here gradients are
arrays; `minillm/tensor.py` sends them from tensor to tensor.
"""

import warnings
from collections.abc import Callable
from typing import Any

from minillm import backend
from minillm.backend import switch
from minillm.backend.arrays import argument, computing_type
from minillm.backend.registry import debugging


class GradientShapeError(ValueError):
    """A gradient of a shape that does not fit its argument's."""

    def __init__(self, message: str, gradient, shape: tuple):
        super().__init__(message)
        self.gradient = gradient
        self.shape = shape


NOWHERE = ()  # what a pullback gets beside g, if it does not add to anything itself


class joint:
    """Marks one pullback that returns the gradients of all arguments together."""

    def __init__(self, pullback: Callable):
        self.pullback = pullback

    def __call__(self, g: Any, *places: Any) -> Any:
        return self.pullback(g, *places)


class adding:
    """Marks a pullback that can add to gradients that are there already, with no array
    of its own between: pullback(g, *places), a place for each argument. Where a place
    is an array, it may add to that, and its answer for this argument is None then.

    Where it is for all arguments: `joint(adding(pullback))`.
    """

    def __init__(self, pullback: Callable):
        self.pullback = pullback

    def __call__(self, g: Any, *places: Any) -> Any:
        return self.pullback(g, *places)


def pulled(device, made_by: str, pullback, parents, g) -> list[tuple]:
    """(parent, contribution to its gradient) for each parent that needs one, by one
    pullback of the op that has `made_by` its name, from the gradient g of its value.

    An error of the pullback gets a note with the op and its shapes.
    """
    places = NOWHERE
    if type(pullback) in (joint, adding):
        places = _places(pullback, parents, g.dtype)
    try:
        answer = switch.run_in(device, pullback, (g, *places))
    except Exception as error:
        backend.note_pullback(error, made_by, pullback, parents, g)
        raise
    return _contributions(parents, answer, g, made_by, places)


def _places(pullback, parents, dtype) -> tuple | list:
    """What a pullback that is `adding` gets beside g: the gradients of leaves that have
    one of this type. Any other gets nothing."""
    if type(pullback) is joint:
        pullback = pullback.pullback
    if type(pullback) is not adding or debugging():
        return NOWHERE
    return [
        p.grad if p is not None and not p.edges and p.dtype == dtype else None
        for p in parents
    ]


def one_each(pullbacks: list, n_arguments: int, name: str) -> list:
    """The pullbacks, where they are one function for each argument. Raises TypeError
    with the op's name."""
    fits = all(map(callable, pullbacks)) and joint not in map(type, pullbacks)
    if fits and len(pullbacks) == n_arguments:
        return pullbacks
    kinds = [type(pullback).__name__ for pullback in pullbacks]
    raise TypeError(
        f"{name} returns {', '.join(kinds)} beside its value: for {n_arguments} "
        f"arguments {n_arguments} functions are needed, or one joint(function)"
    )


def _contributions(parents, answer, g, made_by: str, places) -> list[tuple]:
    """(parent, contribution to its gradient) for each parent that needs one: what the
    op's pullback answered to the gradient g, in the shape of the parent and in the type
    that its contributions add up in. What was added in `places` is done.

    Raises TypeError or ValueError, with the op, for an answer that does not fit.
    """
    answers = answer if isinstance(answer, (tuple, list)) else (answer,)
    if len(answers) != len(parents):
        # The last arguments may have been left out, as None.
        left_out = len(answers) < len(parents) and all(
            parent is None for parent in parents[len(answers) :]
        )
        if not left_out:
            raise TypeError(
                f"the pullback of {made_by} returned {len(answers)} gradients for "
                f"{len(parents)} arguments"
            )
    found, checks = [], debugging()
    for i, (parent, contribution) in enumerate(zip(parents, answers, strict=False)):
        added = places and contribution is None and places[i] is not None
        if parent is None or added:
            continue
        array = parent.data
        if getattr(contribution, "shape", None) != array.shape:
            contribution = unbroadcast(contribution, array.shape, made_by)
        if checks:
            types = computing_type(array.dtype), g.dtype
            what = f"the gradient through {made_by}"
            backend.check_array(contribution, what, types)
        if contribution.dtype != array.dtype:
            contribution = contribution.astype(computing_type(array.dtype))
        found.append((parent, contribution))
    return found


def unbroadcast(g, shape: tuple, made_by: str = "an op"):
    """Sum a gradient over the axes along which its array was broadcast to g's shape.

    Raises GradientShapeError (a ValueError) for a gradient of any other shape and
    TypeError for what is no array, both with the op that made it.
    """
    if not hasattr(g, "shape"):
        raise TypeError(f"the gradient through {made_by} must be an array, not {g!r}")
    if g.shape == shape:
        return g
    leading = g.ndim - len(shape)
    if leading < 0 or any(
        n not in (1, m) for n, m in zip(shape, g.shape[leading:], strict=True)
    ):
        raise GradientShapeError(
            f"the gradient through {made_by} has shape {g.shape}, which does not fit "
            f"its argument of shape {shape}",
            *(g, shape),
        )
    stretched = [leading + axis for axis, n in enumerate(shape) if n == 1]
    return g.sum((*range(leading), *stretched)).reshape(shape)


def first_gradient(array, grad=None):
    """The gradient with respect to an op's value with which backward begins: `grad`, or
    1 for a value of one number. Raises RuntimeError or ValueError."""
    device, dtype = switch.of(array), computing_type(array.dtype)
    if grad is None:
        if array.size != 1:
            raise RuntimeError(
                f"backward() of a tensor of shape {array.shape}: only a scalar has an "
                f"obvious gradient; sum it up first or pass backward(grad)"
            )
        return device.xp.ones_like(array, dtype)
    grad = argument(grad)
    if switch.of(grad) is not device:
        grad = device.xp.asarray(grad)
    if grad.shape != array.shape:
        raise ValueError(
            f"gradient of shape {grad.shape} for a tensor of shape {array.shape}"
        )
    return grad.astype(dtype)


class NotKept:
    """`grad` of a tensor that has none: None, with a warning where none will come.

    The first gradient of a tensor becomes its own attribute, which hides this one, so
    that only what has none asks here.
    """

    def __get__(self, tensor, _owner) -> None:
        if tensor is not None and tensor.made_by and not tensor.retains_grad:
            warnings.warn(
                f"this tensor is no leaf but the result of {tensor.made_by}, and "
                f"backward keeps gradients of leaves only: grad is None. Change a "
                f"parameter in place, `p.data -= lr * p.grad`, or call retain_grad() "
                f"before backward()",
                stacklevel=2,
            )
