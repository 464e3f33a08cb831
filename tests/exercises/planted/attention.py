"""Planted bugs: (text of the solution, what stands there instead, kind)."""

SCORES = "scores = (q @ keys.swapaxes(-1, -2)) * scale"
ALLOWED = "<= query"

BUGS = [
    (SCORES, "scores = q @ keys.swapaxes(-1, -2)", "scale"),
    (SCORES, "scores = (q @ keys.swapaxes(-1, -2)) * scale**2", "scale"),
    (SCORES, "scores = (q @ keys.swapaxes(-1, -2)) / scale", "scale"),
    ("softmax.rule(scores)", "softmax.rule(scores, axis=-2)", "wrong axis"),
    (ALLOWED, "< query", "order"),
    (ALLOWED, "<= query + 1", "order"),
    (ALLOWED, ">= query", "order"),
    (" + (n_keys - n_queries)", "", "order"),
    (
        "return xp.arange(n_keys)[None, :] <=",
        "return xp.arange(n_keys)[None, :] >",
        "sign",
    ),
    ("scores = xp.where(mask, scores, -math.inf)", "pass", "missing terms"),
    ("xp.where(mask, scores, -math.inf)", "xp.where(mask, -math.inf, scores)", "sign"),
    ("xp.where(mask, scores, -math.inf)", "xp.where(mask, scores, 0)", "value"),
    (
        "    weights, pull_scores = softmax.rule(scores)",
        "    weights, pull_scores = softmax.rule((q @ keys.swapaxes(-1, -2)) * scale)\n"
        "    weights = weights * xp.isfinite(scores)",
        "order",
    ),
    ("scores = scores + bias", "pass", "missing terms"),
    ("scores = scores + bias", "scores = scores + bias * scale", "order"),
    ("gs = g_scores * scale", "gs = g_scores", "scale"),
    ("g_scores = pull_scores(g)", "g_scores = g", "extra terms"),
    ("gs @ keys,", "gs @ q,", "wrong"),
    ("gs.swapaxes(-1, -2) @ q", "gs @ q", "missing terms"),
    ("kept.swapaxes(-1, -2) @ g", "kept @ g", "transposed"),
    ("gw = g @ values.swapaxes(-1, -2)", "gw = -g @ values.swapaxes(-1, -2)", "sign"),
    (
        "sum_over_groups(kept.swapaxes(-1, -2) @ g, v)",
        "kept.swapaxes(-1, -2) @ g",
        "shape",
    ),
]
