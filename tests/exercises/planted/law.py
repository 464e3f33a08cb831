"""Planted bugs: (text of the solution, what stands there instead, kind)."""

BUGS = [
    (
        "np.where(size <= delta, size * size / 2, delta * (size - delta / 2))",
        "r * r / 2",
        "missing terms",
    ),
    ("size = np.abs(r)", "size = r", "value"),
    ("size * size / 2,", "size * size,", "factor"),
    ("delta * (size - delta / 2)", "delta * size", "value"),
    ("log_a - alpha * np.log(n)", "log_a + alpha * np.log(n)", "sign"),
    ("curve - np.log(loss)", "np.exp(curve) - loss", "value"),
    ("curve - np.log(loss)", "curve - loss", "value"),
    ("delta).sum())", "delta).mean())", "scale"),
    ("np.logaddexp(log_e, ", "(log_e + ", "value"),
    ("rng.integers(0, len(n), len(n))", "rng.permutation(len(n))", "value"),
    ("rng.integers(0, len(n), len(n))", "rng.integers(0, len(n), len(n) - 1)", "shape"),
    ("rng.integers(0, len(n), len(n))", "rng.integers(1, len(n), len(n))", "value"),
    (
        "rng.integers(0, len(n), len(n))",
        "np.random.default_rng().integers(0, len(n), len(n))",
        "random",
    ),
    ("loss[chosen]", "loss", "swapped"),
    ("[0.025, 0.975]", "[0.05, 0.95]", "value"),
    ("[0.025, 0.975]", "[0.975, 0.025]", "swapped"),
    (", axis=0)", ")", "shape"),
]
