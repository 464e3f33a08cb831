"""Planted bugs: (text of the solution, what stands there instead, kind)."""

BUGS = [
    ("lambda g: g * y, lambda g: g * x", "lambda g: g * x, lambda g: g * y", "swapped"),
    ("lambda g: g * y, lambda", "lambda g: y, lambda", "ignores g"),
    ("lambda g: g * x", "lambda g: -g * x", "sign"),
    ("return x * y, lambda g: g * y", "return x + y, lambda g: g * y", "value"),
    ("lambda g: g * y, lambda", "lambda g: g, lambda", "wrong"),
    ("lambda g: g * y, lambda", "lambda g: 2 * g * y, lambda", "factor"),
    ("lambda g: g * x", "lambda g: g * x * g", "nonlinear"),
    ("lambda g: g * x", "lambda g: x.__imul__(g)", "write"),
    ("lambda g: g * x", "lambda g: (g * x).astype('float64')", "float64"),
    (", lambda g: g * x", "", "error"),
    ("return x * y", "x *= y\n    return x", "write"),
]
