"""Planted bugs: (text of the solution, what stands there instead, kind)."""

RETURN = "return g.sum((*range(leading), *stretched)).reshape(shape)"

BUGS = [
    (RETURN, "return g", "unbroadcast"),
    (RETURN, "return g.mean((*range(leading), *stretched)).reshape(shape)", "scale"),
    ("[leading + axis for", "[axis for", "error"),
    (".reshape(shape)", "", "shape"),
    ("(*range(leading), *stretched)", "tuple(range(leading))", "error"),
    ("(*range(leading), *stretched)", "tuple(stretched)", "error"),
    ("if n == 1", "if n > 1", "error"),
    ("g.sum(", "g.astype('float64').sum(", "float64"),
    (RETURN, "g *= 2\n    " + RETURN.replace("g.sum", "(g / 2).sum"), "write"),
    (RETURN, "return g.max((*range(leading), *stretched)).reshape(shape)", "value"),
    (RETURN, RETURN[7:], "type"),
]
