"""Exercise: the order in which backward visits the graph."""

from minillm.backend import joint
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise, Failure
from minillm.ops import mul
from minillm.tensor import Tensor, op

exercise = Exercise(
    name="topological_order",
    title="the order in which backward visits the graph",
    task="""
    Every Tensor that an op makes remembers what it was made from: `tensor.edges` is a
    list of pairs (parents, pullback), and a leaf has none. `parents` holds Tensors, and
    None for an argument that needs no gradient.

    `topological_order(root)` returns a list of every Tensor that root was made from and
    that needs a gradient, each once. A Tensor comes after everything that it was made
    from, so that root is the last:

        b = a + a; c = b + b        ->   [a, b, c]

    `backward` takes them from the end: it passes a gradient on only when all its parts
    have arrived.

    Two things are asked of you. A chain may be longer than Python's functions may call
    themselves (1,000 deep), so use a loop and a stack of your own. And a Tensor that is
    reached on many paths is visited once: 50 lines like `b = a + a` have 2⁵⁰ paths.

    Remember in a set which Tensors you have seen. `tensor in a_list` fails: it asks
    for ==, and that compares the numbers of two Tensors, one by one.

    A Tensor whose `edges` are FREED (`tensor.edges is FREED`) belongs to a graph that
    is used up: raise RuntimeError.

    The check shows a graph by numbers, as in inputs = [[], [], [0, 1]], fixed = [1]:
    Tensors 0 and 1 are leaves, Tensor 2 is made from both, and Tensor 1 needs no
    gradient. The last one is root.
    """,
    read="""the tour, stop 2; Wikipedia's "Topological sorting", depth-first search.""",
    cut=Cut("minillm.tensor", {"topological_order": "order, seen ="}),
    hints=(
        "Depth first: before a Tensor is appended, everything that it was made from "
        "must have been appended. A recursive function would call itself for each "
        "parent and append the Tensor at its end. Write that on paper.",
        "The stack holds pairs (tensor, inputs_done). A Tensor that is taken for the "
        "first time goes back on the stack with True, and its parents on top of it "
        "with False.",
        "stack = [(root, False)]; while stack: take the last; if inputs_done: append "
        "it to order; elif it is not in seen: add it to seen, push (tensor, True), and "
        "then (parent, False) for each parent of tensor.edges that is not None.",
    ),
)


def graph(c: Cases) -> dict:
    """`inputs`: the numbers of the tensors that each one is made from, none for a leaf.
    `fixed`: leaves that need no gradient."""
    n = c.integer(2, 6)
    inputs = [[]]
    for i in range(1, n):
        kind = c.integer(0, 3) if i < n - 1 else 1
        inputs.append([c.integer(0, i - 1), c.integer(0, i - 1)] if kind else [])
    fixed = [i for i, its in enumerate(inputs) if i and not its and c.integer(0, 2)]
    return {"inputs": inputs, "fixed": fixed}


@op
def sum_of_two(x, y):
    """With one pullback for both, so that `parents` holds two, or one and None."""
    return x + y, joint(lambda g: (g, g))


def tensors_of(inputs, fixed) -> list[Tensor]:
    """The graph, by sums and products of single numbers."""
    tensors = []
    for i, its in enumerate(inputs):
        if its:
            rule = sum_of_two if i % 2 else mul
            tensors.append(rule(*(tensors[j] for j in its)))
        else:
            tensors.append(Tensor(1.0 + i, requires_grad=i not in fixed))
    return tensors


def wanted(inputs, fixed) -> set[int]:
    """The numbers of the tensors in the order of the last one."""
    found, new = set(), {len(inputs) - 1}
    while new:
        found |= new
        new = {j for i in new for j in inputs[i]} - found
    needs = set()
    for i, its in enumerate(inputs):
        if (not its and i not in fixed) or needs & {*its}:
            needs.add(i)
    return found & needs | {len(inputs) - 1}  # root by itself


def look(student, inputs, fixed) -> list[int]:
    """The order that the student returns, by numbers."""
    tensors = tensors_of(inputs, fixed)
    found = student.topological_order(tensors[-1])
    if not isinstance(found, list):
        raise Failure("type", f"a list is expected, not {type(found).__name__}")
    place = {id(tensor): i for i, tensor in enumerate(tensors)}
    for each in found:
        if id(each) not in place:
            raise Failure(
                "type", f"{type(each).__name__} in the list is no Tensor of it"
            )
    return [place[id(each)] for each in found]


@exercise.property(points=1, inputs=graph)
def complete(student, inputs, fixed):
    """Every Tensor that needs a gradient is in the list, and nothing else."""
    found, right = {*look(student, inputs, fixed)}, wanted(inputs, fixed)
    if missing := sorted(right - found):
        raise Failure(
            "missing terms",
            f"tensor {missing[0]} is missing: the list holds {sorted(found)}",
        )
    if extra := sorted(found - right):
        raise Failure(
            "extra terms", f"tensor {extra[0]} is in the list, and is not to be there"
        )


@exercise.property(points=1, inputs=graph)
def each_once(student, inputs, fixed):
    """No Tensor is in the list twice."""
    found = look(student, inputs, fixed)
    for i in found:
        if found.count(i) > 1:
            raise Failure("extra terms", f"tensor {i} is in the list twice: {found}")


@exercise.property(points=2, inputs=graph)
def sorted_by_use(student, inputs, fixed):
    """A Tensor comes after everything that it was made from; root is the last."""
    found = look(student, inputs, fixed)
    if not found or (found[0] == len(inputs) - 1 and len(found) > 1):
        raise Failure("order", f"root comes last: {found}")
    for at, i in enumerate(found):
        for j in inputs[i]:
            if j in found[at:]:
                raise Failure(
                    "order",
                    f"tensor {i} is made from {j}, and comes before it: {found}",
                )


class Node:
    """Stands for a Tensor, and counts how often its edges are looked at."""

    looks = 0

    def __init__(self, parents: list, most: int):
        self.parents, self.most = parents, most

    @property
    def edges(self) -> list:
        self.looks += 1
        if self.looks > self.most:
            raise Failure(
                "time", "a Tensor is visited again on every path that leads to it"
            )
        return [(self.parents, None)] if self.parents else []


@exercise.property(points=1)
def many_ways(student):
    """A Tensor on many paths is visited once: 50 lines of b = a + a."""
    nodes = [Node([], 60)]
    for _ in range(50):
        nodes.append(Node([nodes[-1], nodes[-1]], 60))
    if student.topological_order(nodes[-1]) != nodes:
        raise Failure("order", "the order of 50 lines like b = a + a is wrong")


@exercise.property(points=1)
def deep_chain(student):
    """A chain of 3,000 Tensors is walked without a function that calls itself."""
    nodes = [Node([], 9)]
    for _ in range(3000):
        nodes.append(Node([nodes[-1]], 9))
    try:
        found = student.topological_order(nodes[-1])
    except RecursionError:
        raise Failure(
            "error",
            "RecursionError: a function that calls itself 3,000 times is too deep for "
            "Python. Use a loop and a list as the stack",
        ) from None
    if found != nodes:
        raise Failure("order", "the order of a chain is wrong")


@exercise.property(points=1)
def used_up(student):
    """A graph that backward has freed raises RuntimeError."""
    a = Tensor([1.0, 2.0], requires_grad=True)
    b = mul(a, a)
    c = mul(b, b)
    b.backward([1.0, 1.0])
    try:
        student.topological_order(c)
    except RuntimeError as error:
        if not isinstance(error, NotImplementedError):
            return
        raise
    raise Failure(
        "freed", "the edges of a Tensor are FREED, and no RuntimeError is raised"
    )
