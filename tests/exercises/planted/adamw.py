"""Planted bugs: (text of the solution, what stands there instead, kind)."""

DATA = "data -= lr * (m_hat / (xp.sqrt(v_hat) + eps) + weight_decay * data)"

BUGS = [
    ("m / (1 - beta1**step)", "m", "value"),
    ("m / (1 - beta1**step)", "m / (1 - beta1 ** (step + 1))", "value"),
    (
        "v_hat = v / (1 - beta2**step)",
        "v_hat = v\n    m_hat = m",
        "scale",
    ),
    (
        "v_hat = v / (1 - beta2**step)",
        "step += 1\n    m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)",
        "order",
    ),
    (
        "v_hat = v / (1 - beta2**step)",
        "step -= 1\n    m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)",
        "not finite",
    ),
    ("data -= lr", "data += lr", "sign"),
    (DATA, DATA.replace("data -=", "data = data -"), "missing terms"),
    (" + weight_decay * data)", ")", "missing terms"),
    (" + weight_decay * data)", " - weight_decay * data)", "sign"),
    (" + weight_decay * data)", ")\n    data -= weight_decay * data", "value"),
    (
        "m += (1",
        "g = g + weight_decay * data\n    weight_decay = 0\n    m += (1",
        "order",
    ),
    ("xp.sqrt(v_hat) + eps", "xp.sqrt(v_hat)", "not finite"),
    ("xp.sqrt(v_hat)", "v_hat", "value"),
    ("(g * g - v)", "(g - v)", "not finite"),
    ("(1 - beta2) * (g", "(1 - beta1) * (g", "value"),
    ("m += (1", "grad *= 2\n    m += (1", "write"),
    (
        "(slice(part.start, boundary), weight_decay)",
        "(slice(part.start, boundary), 0.0)",
        "value",
    ),
    (
        "(slice(boundary, part.stop), 0.0)",
        "(slice(boundary, part.stop), weight_decay)",
        "extra terms",
    ),
    (
        "min(max(n_decayed, part.start), part.stop)",
        "max(n_decayed, part.start)",
        "missing terms",
    ),
    (" if piece.start < piece.stop", "", "shape"),
]
