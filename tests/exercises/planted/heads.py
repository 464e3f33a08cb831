"""Planted bugs: (text of the solution, what stands there instead, kind)."""

SPLIT = "x.reshape(batch, length, n, width // n).swapaxes(1, 2)"
MERGE = "x.swapaxes(1, 2).reshape(batch, length, n_heads * width)"

BUGS = [
    (SPLIT, "x.reshape(batch, n, length, width // n)", "order"),
    (SPLIT, "x.reshape(batch, length, n, width // n)", "shape"),
    (SPLIT, "x.reshape(batch, length, width // n, n).swapaxes(1, 3)", "shape"),
    (SPLIT, "x.reshape(batch, length, width // n, n).transpose(0, 3, 1, 2)", "order"),
    (SPLIT, f"{SPLIT}.copy()", "value"),
    ("end - part : end", "end : end + part", "shape"),
    ("heads[:, end - part : end]", "heads[:, :part]", "value"),
    (MERGE, "x.reshape(batch, length, n_heads * width)", "order"),
    (MERGE, "x.transpose(0, 2, 3, 1).reshape(batch, length, n_heads * width)", "order"),
    (MERGE, "x.swapaxes(1, 2)", "shape"),
]
