"""Planted bugs: (text of the solution, what stands there instead, kind)."""

PULL = "y * (g - (g * y).sum(axis, keepdims=True))"

BUGS = [
    ("total = e.sum(axis, keepdims=True)", "total = e.sum()", "wrong axis"),
    ("e.sum(axis, keepdims=True)", "e.sum(0, keepdims=True)", "wrong axis"),
    ("x - xp.where(largest == -math.inf, 0, largest)", "x", "not finite"),
    ("xp.where(largest == -math.inf, 0, largest)", "largest", "not finite"),
    (PULL, "y * (g - g.sum(axis, keepdims=True))", "missing terms"),
    (PULL, "g * y", "missing terms"),
    (PULL, "y * ((g * y).sum(axis, keepdims=True) - g)", "sign"),
    (PULL, "y * (g - (g * y).sum())", "extra terms"),
    (PULL, "y * (g - (g * y).mean(axis, keepdims=True))", "wrong"),
    ("return y, lambda g: y *", "return y, lambda g: x *", "wrong"),
    (
        "g - xp.exp(y) * g.sum(axis, keepdims=True)",
        "g - xp.exp(y) * g",
        "missing terms",
    ),
    ("z - xp.log(xp.exp(z)", "z + xp.log(xp.exp(z)", "value"),
    ("z - xp.log(xp.exp(z)", "x - xp.log(xp.exp(z)", "value"),
    ("e = xp.exp(x", "e = xp.exp(2 * x", "value"),
    ("y = e / xp", "y = e.astype('float64') / xp", "float64"),
    ("y = z - xp.log", "x -= 1\n    y = z - xp.log", "write"),
]
