"""Planted bugs: (text of the solution, what stands there instead, kind)."""

BEFORE = "np.cumsum(likeliest_first) - likeliest_first"

BUGS = [
    (
        "return (logits - logits.max()) / temperature",
        "return logits / temperature",
        "not finite",
    ),
    (
        "(logits - logits.max()) / temperature",
        "(logits - logits.max()) * temperature",
        "order",
    ),
    ("(logits - logits.max()) / temperature", "logits - logits.max()", "missing terms"),
    ("np.argsort(-logits", "np.argsort(logits", "order"),
    (BEFORE, "np.cumsum(likeliest_first)", "missing terms"),
    (BEFORE, "np.cumsum(likeliest_first) - likeliest_first[0]", "missing terms"),
    ("order[before < p]", "order[before <= p]", "value"),
    ("order[before < p]", "np.flatnonzero(before < p)", "value"),
    ("np.full_like(logits, -np.inf)", "np.zeros_like(logits)", "value"),
    ("np.full_like(logits, -np.inf)", "np.full(logits.shape, -np.inf)", "float64"),
    ("nucleus[kept] = logits[kept]", "nucleus[kept] = 0", "value"),
    ("nucleus[kept] = logits[kept]", "nucleus = logits", "missing terms"),
    ("    order = np.argsort", "    logits -= 1\n    order = np.argsort", "write"),
]
