"""Planted bugs: (text of the solution, what stands there instead, kind)."""

ROOT = "math.sqrt(sum(to_numpy(part).item() for part in parts))"
SCALE = "min(1.0, clip / norm) if clip > 0 and norm > 0 else 1.0"

BUGS = [
    ("(grad * grad).sum()", "grad.sum() ** 2", "value"),
    ("(grad * grad).sum()", "(grad * grad).mean()", "scale"),
    ("(grad * grad).sum()", "(grad * grad).sum() ** 0.5", "value"),
    ("(grad * grad).sum()", "grad * grad", "shape"),
    ("(grad * grad).sum()", "(grad.astype('f8') ** 2).sum()", "float64"),
    ("return (grad * grad)", "grad *= grad\n    return (grad)", "write"),
    (ROOT, "sum(to_numpy(part).item() for part in parts)", "value"),
    (ROOT, "sum(math.sqrt(to_numpy(part).item()) for part in parts)", "order"),
    (ROOT, "math.sqrt(sum(to_numpy(part).item() ** 2 for part in parts))", "order"),
    (ROOT, "math.sqrt(to_numpy(parts[0]).item())", "missing terms"),
    (SCALE, "clip / norm if clip > 0 and norm > 0 else 1.0", "scale"),
    (SCALE, "min(1.0, norm / clip) if clip > 0 and norm > 0 else 1.0", "order"),
    (SCALE, "min(1.0, clip / norm) if clip > 0 else 1.0", "error"),
    (SCALE, "min(1.0, clip / norm) if norm > 0 else 1.0", "value"),
]
