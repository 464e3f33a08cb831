"""Planted bugs: (text of the solution, what stands there instead, kind)."""

BUGS = [
    ("total + float(log_probability)", "float(log_probability)", "missing terms"),
    ("total + float(log_probability)", "total - float(log_probability)", "value"),
    ("key=lambda each: -each[1]", "key=lambda each: each[1]", "order"),
    ("(*ids, token)", "(token, *ids)", "value"),
    ("total / len(ids)", "total", "scale"),
    ("total / len(ids)", "total * len(ids)", "value"),
    ("if len(going) == beams:\n                break", "pass", "extra terms"),
    ("len(going) == beams", "len(going) == 1", "missing terms"),
    ("if each[0][-1] == end:", "if False:", "order"),
    ("complete.append(each)", "pass", "missing terms"),
    ("max(complete + live, key=score)[0]", "max(live, key=score)[0]", "missing terms"),
    (
        "max(complete + live, key=score)[0]",
        "max(complete or live, key=score)[0]",
        "missing terms",
    ),
    (
        "max(complete + live, key=score)[0]",
        "min(complete + live, key=score)[0]",
        "order",
    ),
    (
        "max(complete + live, key=score)",
        "max(complete + live, key=lambda e: e[1])",
        "scale",
    ),
    ("range(length)", "range(length - 1)", ("error", "shape")),
]
