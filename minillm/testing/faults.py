"""What a check can find: `CheckError` and its kinds."""

KINDS = {
    "shape": "a gradient has a shape that does not fit its argument's",
    "unbroadcast": "a gradient is right once it is summed over an axis",
    "zero": "no gradient arrives",
    "ignores g": "a gradient is the same whatever g is",
    "nonlinear": "a gradient is not linear in g",
    "sign": "a gradient is −1 × what it should be",
    "factor": "a gradient is a constant × what it should be",
    "scale": "the same, and the constant is made of lengths (n, 1/n, √n, n/m) or of a "
    "setting, or is one number for each row",
    "swapped": "a gradient is what that of another argument should be",
    "transposed": "a gradient, or the matrix that takes g to it, is transposed",
    "wrong axis": "a gradient goes along another axis than the value",
    "missing terms": "the value depends on an element in places that are not counted",
    "extra terms": "places are counted where the value does not depend on an element",
    "elements": "a gradient is right but for a few of its elements",
    "write": "a rule or a pullback writes into what it is given",
    "shared": "a gradient is written into after a pullback has returned it",
    "float32": "float32 inside, where the arguments are float64",
    "float64": "float64 inside, where the arguments are float32",
    "not finite": "a value or a gradient is NaN or infinite",
    "random": "a second call gives other values",
    "domain": "every step leaves the domain of the function",
    "undecided": "rounding hides the slopes",
    "body": "a faster body differs from its definition",
    "wrong": "none of these for certain",
}


class CheckError(AssertionError):
    """A gradient or a faster body is not what it should be; `kind` is one of KINDS."""

    def __init__(self, message: str, kind: str = "wrong"):
        super().__init__(message)
        assert kind in KINDS, kind
        self.kind = kind


class UndecidedError(CheckError):
    """Rounding hides the slopes, so that a wrong gradient would pass as well."""

    def __init__(self, message: str, kind: str = "undecided"):
        super().__init__(message, kind)
