"""Planted bugs: (text of the solution, what stands there instead, kind)."""

BUGS = [
    ("xp.minimum(x * x, 100)", "x * x", "not finite"),
    ("xp.minimum(x * x, 100)", "xp.minimum(x, 10)", "value"),
    ("0.5 * x * (1 + t)\n", "x * (1 + t)\n", "factor"),
    ("0.5 * x * (1 + t)\n", "0.5 * x * (1 - t)\n", "value"),
    ("t = xp.tanh(c * x", "t = xp.tanh(x", "value"),
    ("(1 - t * t)", "(1 + t * t)", "wrong"),
    ("(1 - t * t)", "(1 - t)", "wrong"),
    ("1 + 3 * 0.044715", "1 + 0.044715", "wrong"),
    ("return g * (0.5", "return -g * (0.5", "sign"),
    ("return g * (0.5", "return (0.5", "ignores g"),
    (" + 0.5 * x * (1 - t * t) * slope", "", "wrong"),
    ("c = math.sqrt(2 / math.pi)", "c = np.sqrt(2 / np.pi, dtype='f8')[None]", "error"),
    ("y = 0.5 * x * (1 + t)", "y = 0.5 * x.astype('f8') * (1 + t)", "float64"),
]
