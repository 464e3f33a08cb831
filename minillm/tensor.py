"""Reverse-mode automatic differentiation: `Tensor`, `@op` and `backward`.

An op is a plain function on arrays that returns its value and one *pullback* per
positional argument: the function that turns the gradient of the loss with respect to
the value into the gradient with respect to that argument. `@op` does everything else.
`Tensor.backward` walks the recorded ops from the loss back to the leaves.

There is no double backward: a pullback computes on arrays and records nothing.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator

from minillm import backend
from minillm.backend.array_like import ArrayLike
from minillm.backend.arrays import argument, as_float_array
from minillm.backend.calls import Call
from minillm.backend.pullbacks import NotKept, first_gradient, joint, one_each, pulled
from minillm.backend.registry import recording


class Tensor(ArrayLike):
    """An array that remembers the op it came from.

    `data` is a floating-point array of the current backend: numbers, lists and whole
    numbers become float32, floating-point arrays keep their type. A *leaf* made with
    `requires_grad=True` collects its gradient in `grad`, an array of the same shape and
    type that backward shares with no other tensor. Raises TypeError for text and other
    objects.

    Operators (`x + y`, `x > 0`) and methods (`x.sum()`) need the ops, which need this
    file: `ops/methods.py` hangs them on. `from minillm import Tensor` has them.
    """

    T: "Tensor"
    grad = NotKept()  # None until backward has been at this leaf
    requires_grad = False
    retains_grad = False
    # [(parents, pullback)], empty for a leaf. A pullback gives the gradient of its one
    # parent; in a joint edge those of all parents, as a tuple, and None stands for a
    # parent that needs no gradient.
    edges = ()
    made_by = None  # the op's name (and, in debug mode, the line that ran it)

    def __init__(self, data, requires_grad: bool = False):
        self.data = as_float_array(data)
        self.requires_grad = requires_grad

    def detach(self) -> "Tensor":
        """The same array without its history."""
        return _wrap(self.data)

    def backward(self, grad=None) -> None:
        """Add d(self)/d(leaf) to the `grad` of every leaf this tensor was made from.

        `grad` is the gradient with respect to this tensor; it may be left out for a
        scalar, where it is 1. The graph is freed on the way: a second call raises
        RuntimeError (of a leaf, which has no graph, it adds once more).
        """
        backward(self, grad)

    def retain_grad(self) -> "Tensor":
        """Have backward keep this tensor's gradient in `grad`, though it is no leaf.

        Raises RuntimeError for a tensor that needs no gradient.
        """
        if not self.requires_grad:
            raise RuntimeError("retain_grad() of a tensor that needs no gradient")
        self.retains_grad = True
        return self

    def __repr__(self) -> str:
        from minillm import display  # opened when something is shown

        return display.tensor_text(self)

    def _repr_html_(self) -> str:
        from minillm import display

        return display.tensor_html(self)


# ---------------------------------------------------------------------- recording


def op(rule: Callable | None = None, *, check: Callable | None = None) -> Callable:
    """Make a differentiable op on Tensors out of a rule on arrays.

    The rule takes arrays (its positional arguments, None where one is left out) and
    settings (keyword-only), and returns `value, pullback, pullback, …` with one
    pullback per positional argument. Where the gradients share their work, or the
    arguments may be any number, it returns `value, joint(pullback)`: one pullback for
    all. It writes into nothing it is given and reads no value of an array.

    Who calls the op may give settings by position too: `softmax(x, -1)`. A setting gets
    no gradient. Arrays of half precision reach the rule as float32 (`computing_type`).

    `@op(check=f)` calls f with the same arguments first, so that what does not fit is
    named with its shapes, whichever body runs. The op has its rule as `.rule`: other
    rules call that, since they have arrays at hand and record nothing.
    """
    if rule is None:
        return functools.partial(op, check=check)
    name = backend.define(rule).__name__
    call = Call(rule, check)

    @functools.wraps(rule)
    def apply(*inputs, **settings):
        if settings or len(inputs) != call.n_arrays_without_settings:
            inputs, settings = call.sort(inputs, settings)
            settings = call.settings(settings, recording.get())
        arrays = [x.data if isinstance(x, Tensor) else argument(x) for x in inputs]
        value, pullbacks = call.run(arrays, settings)
        result = _wrap(value)
        if recording.get():
            _record(result, name, inputs, pullbacks)
        if backend.debugging():
            backend.watch(result, name, [x for x in inputs if isinstance(x, Tensor)])
        return result

    apply.rule = rule
    apply.__signature__ = call.shown
    return apply


def _wrap(array) -> Tensor:
    """An array that is known to be fit, as a tensor."""
    tensor = Tensor.__new__(Tensor)
    tensor.data = array
    return tensor


def _record(result, name, inputs, pullbacks) -> None:
    wanted = [isinstance(x, Tensor) and x.requires_grad for x in inputs]
    if True not in wanted:
        return
    result.requires_grad = True
    result.made_by = name
    if len(pullbacks) == 1 and isinstance(pullbacks[0], joint):
        parents = [x if w else None for x, w in zip(inputs, wanted, strict=True)]
        result.edges = [(parents, pullbacks[0])]
    else:
        each = zip(inputs, wanted, one_each(pullbacks, len(inputs), name), strict=True)
        result.edges = [((x,), pullback) for x, w, pullback in each if w]


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing, in this thread, for the length of the block."""
    token = recording.set(False)
    try:
        yield
    finally:
        recording.reset(token)


# ----------------------------------------------------------------------- backward


FREED = []  # the edges of a tensor whose history backward has already used up


def backward(root: Tensor, grad=None) -> None:
    """Run the pullbacks of everything `root` was made from, last op first."""
    # Each tensor's gradient so far, and whether it is owned: backward allocated it, and
    # may add to it in place. All others are borrowed from a pullback, which may have
    # returned its own input or a view of saved values.
    gradients = {root: (_seed(root, grad), False)}
    order = topological_order(root)
    while order:  # popped, so that what has been used is freed at once
        tensor = order.pop()
        if tensor not in gradients:  # a leaf: a GPU's pullbacks added to its grad
            continue
        g, _ = gradients.pop(tensor)
        if tensor.retains_grad or not tensor.edges:
            _keep(tensor, g)
        device = backend.of(tensor.data)
        for parents, pullback in tensor.edges:
            for parent, part in pulled(device, tensor.made_by, pullback, parents, g):
                gradients[parent] = _plus(gradients.get(parent), part)
        if tensor.edges:
            tensor.edges = FREED


def topological_order(root: Tensor) -> list[Tensor]:
    """Every tensor that `root` was made from and that needs a gradient, each before
    what was made of it.

    Why sorted: in `b = a + a; c = b + b` the gradient of b has two parts. Passing b's
    gradient on before both have arrived would send the first part down twice; walking
    paths instead of tensors would take 2^n steps for a chain of n such lines. In this
    order a tensor comes before whatever uses it; backward takes it from the end.
    """
    order, seen = [], set()
    stack = [(root, False)]  # a loop, since a chain may be deeper than Python recurses
    while stack:
        tensor, inputs_done = stack.pop()
        if inputs_done:
            order.append(tensor)
        elif tensor not in seen:
            seen.add(tensor)
            if tensor.edges is FREED:
                raise RuntimeError(
                    "backward() a second time through the same graph: it was freed by "
                    "the first; run the forward pass again"
                )
            stack.append((tensor, True))
            for parents, _ in tensor.edges:
                stack += [(parent, False) for parent in parents if parent is not None]
    return order


def _plus(so_far, part) -> tuple:
    """(gradient, owned) with one more part of it."""
    if so_far is None:
        return part, False  # most tensors are used once
    g, owned = so_far
    if not owned:
        return g + part, True
    g += part
    return g, True


def _keep(tensor, g) -> None:
    if tensor.grad is None:
        xp = backend.of(tensor.data).xp
        # A copy: g may be borrowed.
        tensor.grad = xp.array(g, tensor.dtype, order="C")
    else:
        # In place: in training, grad is a view of one buffer (`FlatParameters`).
        tensor.grad += g


def _seed(root, grad):
    if not recording.get():
        raise RuntimeError("backward() inside no_grad: nothing was recorded here")
    if not root.requires_grad:
        raise RuntimeError("backward() of a tensor that needs no gradient")
    return first_gradient(root.data, grad.data if isinstance(grad, Tensor) else grad)
