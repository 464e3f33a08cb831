"""Exercise: the walk of backward."""

import numpy as np

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise, Failure
from minillm.exercises.sheets.topological_order import graph
from minillm.ops import add, mul
from minillm.tensor import FREED, Tensor, op

exercise = Exercise(
    name="backward",
    title="the walk from the loss to the leaves",
    task="""
    `backward(root, grad)` adds d(root)/d(leaf) to the `grad` of every leaf. It visits
    the Tensors of `topological_order(root)` from the end, so that a Tensor's gradient
    is complete when it is passed on. `gradients` maps a Tensor to a pair: its gradient
    so far, and whether the walk owns that array.

    For each Tensor, take its pair out of `gradients`; g is the gradient, the first of
    the pair. Pass over a Tensor that has no pair there. Then, with this g:

        it is a leaf, or retains_grad     ->  _keep(tensor, g)
        each (parents, pullback) of its edges:
            pulled(backend.of(tensor.data), tensor.made_by, pullback, parents, g)
            gives pairs (parent, part)
            gradients[parent] = _plus(gradients.get(parent), part)
        it has edges                      ->  tensor.edges = FREED

    A leaf has no edges, and its edges stay as they are: never FREED.

    `_plus(so_far, part)` returns the pair (gradient, owned) with one part
    more; so_far is such a pair, or None. The trap: a pullback may return its own g, or
    an array that others need, so the first part is borrowed (owned is False) and must
    not be written into. The second part makes a new array, which is owned; from the
    third on, one can add in place.

    The check shows a graph by numbers, as in inputs = [[], [], [0, 1]]: Tensors 0 and 1
    are leaves, Tensor 2 is made from both. Odd Tensors are sums, even ones products;
    the last one is root.
    """,
    read="""the tour, stop 2; `_keep` is in the file, `pulled` in
    minillm/backend/pullbacks.py.""",
    cut=Cut("minillm.tensor", {"backward": "order =", "_plus": ""}, also=("_keep",)),
    hints=(
        "In b = a + a; c = b + b, g of c is passed to b twice. How many pairs does "
        "`pulled` give for c, and what is in `gradients` after each?",
        "while order: tensor = order.pop() takes from the end, and lets go of what has "
        "been used. `g, _ = gradients.pop(tensor)`.",
        "_plus: None -> (part, False); not owned -> (g + part, True); owned -> g += "
        "part, then (g, True).",
    ),
    builds_on=("topological_order",),
)


def slopes(inputs, fixed) -> dict[int, float]:
    """d(last)/d(leaf) by dual numbers: forward, without a graph."""
    found = {}
    for leaf, its in enumerate(inputs):
        if its or leaf in fixed:
            continue
        values, slopes = [], []
        for i, pair in enumerate(inputs):
            if not pair:
                values.append(number(i))
                slopes.append(float(i == leaf))
                continue
            (a, b), (p, q) = [values[j] for j in pair], [slopes[j] for j in pair]
            values.append(a + b if i % 2 else a * b)
            slopes.append(p + q if i % 2 else p * b + a * q)
        found[leaf] = slopes[-1]
    return found


def replaced(inputs, last: bool) -> list[float]:
    """The gradients, of one part each: the last one that arrives, or the first."""
    values = []
    for i, its in enumerate(inputs):
        a, b = [values[j] for j in its] or (0, 0)
        values.append((a + b if i % 2 else a * b) if its else number(i))
    parts = [0.0] * len(inputs)
    parts[-1] = 1.0
    for i in reversed(range(len(inputs))):
        g = parts[i]
        for j, k in zip(inputs[i], inputs[i][::-1], strict=True):
            if last or not parts[j]:
                parts[j] = g if i % 2 else g * values[k]
    return parts


def number(i: int) -> float:
    return 1.5 - 0.5 * i if i != 3 else 0.75


def built(inputs, fixed) -> list[Tensor]:
    tensors = []
    for i, its in enumerate(inputs):
        if its:
            rule = add if i % 2 else mul
            tensors.append(rule(*(tensors[j] for j in its)))
        else:
            x = Tensor(np.array(number(i)), requires_grad=i not in fixed)
            tensors.append(x)
    return tensors


def grad_of(tensor: Tensor, i: int) -> float:
    if tensor.grad is None:
        raise Failure("zero", f"no gradient arrives at leaf {i}: its grad is None")
    return tensor.grad


def look(student, inputs, fixed) -> None:
    tensors = built(inputs, fixed)
    student.backward(tensors[-1])
    for leaf, slope in slopes(inputs, fixed).items():
        if tensors[leaf].grad is None and slope == 0:
            continue  # root was not made from it
        says = "One part of a gradient has replaced another one: add them up."
        looking.equal(
            grad_of(tensors[leaf], leaf),
            slope,
            f"the grad of leaf {leaf}",
            instead=[
                ("overwritten", np.array(replaced(inputs, last)[leaf]), says)
                for last in (True, False)
            ],
        )


def stays_a_leaf(tensor: Tensor) -> None:
    if tensor.edges is FREED:
        raise Failure("freed", "a is a leaf, and its edges are FREED after backward")


def chain(c: Cases) -> dict:
    """Each tensor is used once: with leaves of its own."""
    inputs, last = [[]], 0
    for _ in range(c.integer(1, 3)):
        inputs += [[], [last, len(inputs)]]
        last = len(inputs) - 1
    return {"inputs": inputs, "fixed": []}


def rooted(c: Cases) -> dict:
    """A graph whose root needs a gradient."""
    found = graph(c)
    return found | {"fixed": []}


@exercise.property(points=1, inputs=chain)
def without_sharing(student, inputs, fixed):
    """The gradients are right where every Tensor is used once."""
    look(student, inputs, fixed)


@exercise.property(points=2, inputs=rooted)
def used_several_times(student, inputs, fixed):
    """A Tensor that is used several times gets the sum of all parts."""
    look(student, inputs, fixed)


@exercise.property(points=1)
def a_second_loss_adds(student):
    """A leaf's grad adds up over two calls, for two graphs."""
    a = Tensor(np.array([1.0, -2.0]), requires_grad=True)
    student.backward(mul(a, 3.0), np.array([1.0, 1.0]))
    stays_a_leaf(a)
    student.backward(mul(a, 4.0), np.array([1.0, 1.0]))
    says = "The second call has replaced the grad of the first: add to it."
    looking.equal(
        grad_of(a, 0),
        np.array([7.0, 7.0]),
        "the grad after 3·a and 4·a",
        instead=[("overwritten", np.array([4.0, 4.0]), says)],
    )


@exercise.property(points=2)
def borrowed_arrays(student):
    """No array that a pullback has returned is written into."""
    returned = []

    @op
    def kept(x):
        def pullback(g):
            returned.append(g * 2)
            return returned[-1]

        return x * 2, pullback

    a = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    student.backward(add(add(kept(a), kept(a)), kept(a)), np.array([1.0, 1.0]))
    if any(not np.array_equal(each, [2.0, 2.0]) for each in returned):
        raise Failure(
            "write",
            "an array that a pullback has returned is written into: others may need "
            "it. Add in place only to an array that your code has made",
        )
    looking.equal(grad_of(a, 0), [6.0, 6.0], "the grad of a in 2a + 2a + 2a")
    a, b = (Tensor(np.array([1.0, 2.0]), requires_grad=True) for _ in range(2))
    total = add(add(add(a, a), a), b)  # `add` hands on its g itself
    student.backward(total, np.array([1.0, 10.0]))
    looking.equal(grad_of(a, 0), [3.0, 30.0], "the grad of a in a + a + a + b")
    looking.equal(grad_of(b, 1), [1.0, 10.0], "the grad of b in a + a + a + b")


@exercise.property(points=1)
def leaves_own_their_grad(student):
    """Two leaves never share one array."""
    a, b = (Tensor(np.array([1.0, 2.0]), requires_grad=True) for _ in range(2))
    student.backward(add(a, b), np.array([1.0, 1.0]))
    if np.shares_memory(grad_of(a, 0), grad_of(b, 1)):
        raise Failure("shared", "in a + b both leaves have one array as their grad")


@exercise.property(points=1)
def each_pullback_once(student):
    """A Tensor's gradient is passed on once, when it is complete."""
    n_calls = [0]

    @op
    def double(x):
        def pullback(g):
            n_calls[0] += 1
            if n_calls[0] > 200:
                raise Failure(
                    "time",
                    "the pullbacks run again for every path through the graph: pass a "
                    "gradient on once, when all its parts have arrived",
                )
            return g + g

        return x + x, pullback

    a = x = Tensor(np.array(1.0), requires_grad=True)
    for _ in range(20):
        x = add(double(x), x)
    student.backward(x)
    looking.equal(grad_of(a, 0), 3.0**20, "the grad of a after 20 × (x = 2x + x)")
    if n_calls[0] != 20:
        raise Failure("order", f"20 pullbacks are there, and {n_calls[0]} have run")


@exercise.property(points=1)
def retained(student):
    """A Tensor that retains its gradient keeps it, another one that is no leaf not."""
    a = Tensor(np.array(3.0), requires_grad=True)
    b = mul(a, a).retain_grad()
    student.backward(mul(b, 2.0))
    stays_a_leaf(a)
    if b.grad is None:
        raise Failure("zero", "b.retain_grad() was called, and b.grad is None")
    looking.equal(b.grad, 2.0, "the grad of b in 2·b")
    c = mul(a, a)
    student.backward(mul(c, 2.0))
    if "grad" in vars(c):
        raise Failure("extra terms", "a Tensor that is no leaf has kept its gradient")


@exercise.property(points=1)
def frees_the_graph(student):
    """A second call through the same graph raises RuntimeError; leaves stay leaves."""
    a = Tensor(np.array(3.0), requires_grad=True)
    loss = mul(a, a)
    student.backward(loss)
    stays_a_leaf(a)
    student.backward(mul(a, 2.0))
    try:
        student.backward(loss)
    except NotImplementedError:
        raise
    except RuntimeError:
        return
    raise Failure("freed", "backward() twice through one graph raises no RuntimeError")
