"""Planted bugs: (text of the solution, what stands there instead, kind)."""

SUM = "gradients[parent] = _plus(gradients.get(parent), contribution)"

BUGS = [
    (SUM, "gradients[parent] = contribution, False", "overwritten"),
    (SUM, "gradients.setdefault(parent, (contribution, False))", "overwritten"),
    (
        "return g + contribution, True",
        "g += contribution\n        return g, True",
        "write",
    ),
    ("return contribution, False", "return contribution, True", "write"),
    ("return g + contribution, True", "return contribution, True", "value"),
    ("tensor.retains_grad or not tensor.edges", "not tensor.edges", "zero"),
    ("if tensor.retains_grad or not tensor.edges:", "if True:", "extra terms"),
    ("        if tensor.edges:\n            tensor.edges = FREED\n", "", "freed"),
    (
        "        if tensor.edges:\n            tensor.edges",
        "        tensor.edges",
        "error",
    ),
    ("order.pop()", "order.pop(0)", "zero"),
    ("_keep(tensor, g)", "tensor.grad = g", "shared"),
    ("_keep(tensor, g)", "tensor.grad = g.copy()", "overwritten"),
    ("tensor, parents, pullback, g)", "tensor, parents, pullback, 1 * g * g)", "value"),
    ("g += contribution\n    return g, True", "return g, True", "value"),
]
