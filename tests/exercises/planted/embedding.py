"""Planted bugs: (text of the solution, what stands there instead, kind)."""

ADD = "current().add_at(gradient, ids, g)"

BUGS = [
    (ADD, "gradient[xp.asarray(ids)] += g", "missing terms"),
    (ADD, "gradient[xp.asarray(ids)] = g", "missing terms"),
    (ADD, "current().add_at(gradient, ids, -g)", "sign"),
    (ADD, "pass", "zero"),
    (ADD, f"{ADD}\n        gradient /= len(ids)", "scale"),
    ("xp.zeros_like(table)", "xp.ones_like(table)", "value"),
    ("xp.zeros_like(table)", "table", "write"),
    ("xp.zeros_like(table)", "xp.zeros(table.shape)", "float64"),
    (
        "table[xp.asarray(ids)], pullback",
        "table[xp.asarray(ids) - 1], pullback",
        "value",
    ),
    (
        "table[xp.asarray(ids)], pullback",
        "table[xp.asarray(ids)[:1]], pullback",
        "shape",
    ),
    ("        return gradient\n", "", "error"),
]
