"""Planted bugs: (text of the solution, what stands there instead, kind)."""

BUGS = [
    (" >= int(", " < int(", "value"),
    ("int(rate * 2**32)", "int(rate * 2**31)", "value"),
    (" / (1 - rate)", "", "scale"),
    (" / (1 - rate)", " * (1 - rate)", "scale"),
    (" / (1 - rate)", " / rate", "scale"),
    ("key, first_row) >=", "key) >=", "value"),
    ("key, first_row) >=", "7, first_row) >=", "value"),
    ("lambda g: g * scaled", "lambda g: g", "extra terms"),
    ("lambda g: g * scaled", "lambda g: -g * scaled", "sign"),
    ("lambda g: g * scaled", "lambda g: scaled", "ignores g"),
    ("lambda g: g * scaled", "lambda g: g * (scaled > 0)", "scale"),
    ("kept.astype(x.dtype)", "kept.astype('f8')", "float64"),
    (
        "kept = hashed_uniform(x.shape, key, first_row) >= int(rate * 2**32)",
        "import numpy\n    kept = numpy.random.random(x.shape) >= rate",
        "random",
    ),
    ("return x * scaled,", "x *= scaled\n    return x,", "write"),
]
