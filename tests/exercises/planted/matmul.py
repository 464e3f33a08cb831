"""Planted bugs: (text of the solution, what stands there instead, kind)."""

X = "restore(g) @ columns.swapaxes(-1, -2)"
Y = "rows.swapaxes(-1, -2) @ restore(g)"

BUGS = [
    (X, "restore(g) @ columns", "transposed"),
    (Y, "rows @ restore(g)", "transposed"),
    (X, "restore(g) @ columns.T", "error"),
    (X, "columns @ restore(g).swapaxes(-1, -2)", "transposed"),
    (Y, "restore(g).swapaxes(-1, -2) @ rows", "transposed"),
    (X, "-" + X, "sign"),
    (Y, Y + " / len(rows)", ("scale", "factor")),
    (X, "columns.swapaxes(-1, -2)", "ignores g"),
    (X, X.replace("restore(g)", "restore(g).astype('float64')"), "float64"),
    (Y, Y.replace("restore(g)", "g"), ("error", "shape")),
    (X, "g.__imul__(2) @ columns.swapaxes(-1, -2)", "write"),
]
