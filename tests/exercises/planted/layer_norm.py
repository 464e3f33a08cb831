"""Planted bugs: (text of the solution, what stands there instead, kind)."""

SD = "inverse_sd = 1 / xp.sqrt(mean_of_rows(centred * centred) + eps)"
GX = "gx = (gu - mean_of_rows(gu) - unit * mean_of_rows(gu * unit)) * inverse_sd"
RETURN = "return gx, as_rows(g * unit).sum(0), as_rows(g).sum(0)"

BUGS = [
    ("centred = x - mean_of_rows(x)", "centred = x - x.mean(0)", "wrong axis"),
    ("centred = x - mean_of_rows(x)", "centred = x", "value"),
    (SD, "inverse_sd = 1 / xp.sqrt(mean_of_rows(centred * centred))", "not finite"),
    (SD, "inverse_sd = 1 / (mean_of_rows(centred * centred) + eps)", "scale"),
    (SD, "inverse_sd = 1 / (xp.sqrt(mean_of_rows(centred * centred)) + eps)", "wrong"),
    (
        SD,
        "inverse_sd = 1 / xp.sqrt((centred * centred).sum(-1, keepdims=True)"
        " / max(x.shape[-1] - 1, 1) + eps)",
        "scale",
    ),
    (
        "unit * gain if bias is None else unit * gain + bias",
        "unit * gain",
        "missing terms",
    ),
    (
        "unit * gain if bias is None else unit * gain + bias",
        "unit * gain + bias",
        "error",
    ),
    (GX, "gx = gu * inverse_sd", "missing terms"),
    (GX, "gx = (gu - mean_of_rows(gu)) * inverse_sd", "wrong"),
    (GX, "gx = (gu - unit * mean_of_rows(gu * unit)) * inverse_sd", "wrong"),
    (GX, GX.removesuffix(" * inverse_sd"), ("factor", "scale")),
    ("gu = g * gain", "gu = g", "scale"),
    (RETURN, "return gx, as_rows(g * unit).mean(0), as_rows(g).sum(0)", "scale"),
    (RETURN, "return gx, as_rows(g).sum(0), as_rows(g * unit).sum(0)", "wrong"),
    (RETURN, "return gx, as_rows(g * unit).sum(0)", "error"),
    ("centred = x - mean_of_rows(x)", "x -= mean_of_rows(x)\n    centred = x", "write"),
]
