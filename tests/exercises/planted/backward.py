"""Planted bugs: (text of the solution, what stands there instead, kind)."""

SUM = "gradients[parent] = _plus(gradients.get(parent), part)"

BUGS = [
    (SUM, "gradients[parent] = part, False", "overwritten"),
    (SUM, "gradients.setdefault(parent, (part, False))", "overwritten"),
    (
        "return g + part, True",
        "g += part\n        return g, True",
        "write",
    ),
    ("return part, False", "return part, True", "write"),
    ("return g + part, True", "return part, True", "value"),
    ("tensor.retains_grad or not tensor.edges", "not tensor.edges", "zero"),
    ("if tensor.retains_grad or not tensor.edges:", "if True:", "extra terms"),
    ("        if tensor.edges:\n            tensor.edges = FREED\n", "", "freed"),
    (
        "        if tensor.edges:\n            tensor.edges",
        "        tensor.edges",
        "freed",
    ),
    ("order.pop()", "order.pop(0)", "zero"),
    ("_keep(tensor, g)", "tensor.grad = g", "shared"),
    ("_keep(tensor, g)", "tensor.grad = g.copy()", "overwritten"),
    ("pullback, parents, g)", "pullback, parents, 1 * g * g)", "value"),
    ("g += part\n    return g, True", "return g, True", "value"),
]
