"""Planted bugs: (text of the solution, what stands there instead, kind)."""

SD = "inverse_sd = 1 / xp.sqrt(_mean(centred * centred) + eps)"
GX = "gx = (gu - _mean(gu) - unit * _mean(gu * unit)) * inverse_sd"
RETURN = "return gx, as_rows(g * unit).sum(0), as_rows(g).sum(0)"

BUGS = [
    ("centred = x - _mean(x)", "centred = x - x.mean(0)", "wrong axis"),
    ("centred = x - _mean(x)", "centred = x", "value"),
    (SD, "inverse_sd = 1 / xp.sqrt(_mean(centred * centred))", "not finite"),
    (SD, "inverse_sd = 1 / (_mean(centred * centred) + eps)", "scale"),
    (SD, "inverse_sd = 1 / (xp.sqrt(_mean(centred * centred)) + eps)", "wrong"),
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
    (GX, "gx = (gu - _mean(gu)) * inverse_sd", "wrong"),
    (GX, "gx = (gu - unit * _mean(gu * unit)) * inverse_sd", "wrong"),
    (GX, GX.removesuffix(" * inverse_sd"), "factor"),
    ("gu = g * gain", "gu = g", "scale"),
    (RETURN, "return gx, as_rows(g * unit).mean(0), as_rows(g).sum(0)", "scale"),
    (RETURN, "return gx, as_rows(g).sum(0), as_rows(g * unit).sum(0)", "wrong"),
    (RETURN, "return gx, as_rows(g * unit).sum(0)", "error"),
    ("centred = x - _mean(x)", "x -= _mean(x)\n    centred = x", "write"),
]
