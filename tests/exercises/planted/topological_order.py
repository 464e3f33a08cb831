"""Planted bugs: (text of the solution, what stands there instead, kind)."""

PUSH = "stack.append((tensor, True))"
PARENTS = "stack += [(parent, False) for parent in parents if parent is not None]"

BUGS = [
    ("return order", "return order[::-1]", "order"),
    ("return order", "return order[:-1]", "missing terms"),
    ("return order", "return tuple(order)", "type"),
    ("            seen.add(tensor)\n", "", "time"),
    ("elif tensor not in seen:", "else:", "extra terms"),
    (PUSH, "order.append(tensor)", "order"),
    (" if parent is not None", "", "error"),
    ("tensor.edges is FREED", "tensor.edges == FREED", "error"),
    ("if tensor.edges is FREED", "if False", "freed"),
    (PARENTS, "stack += [(parents[0], False)]", "missing terms"),
    (
        "for parents, _ in tensor.edges",
        "for parents, _ in tensor.edges[:1]",
        "missing terms",
    ),
    (
        "    stack = [(root, False)]",
        "    def visit(t):\n"
        "        if t is None or t in seen:\n"
        "            return\n"
        "        seen.add(t)\n"
        "        for parents, _ in t.edges:\n"
        "            for parent in parents:\n"
        "                visit(parent)\n"
        "        order.append(t)\n"
        "    visit(root)\n"
        "    stack = []",
        "error",
    ),
]
