"""Planted bugs: (text of the solution, what stands there instead, kind)."""

BUGS = [
    (
        "begin, end = self.length, self.length + k.shape[2]",
        "begin, end = 0, k.shape[2]",
        "value",
    ),
    ("self.length = end", "pass", "value"),
    ("self.length = end", "self.length += 1", "value"),
    ("return self.k[:, :, :end], self.v[:, :, :end]", "return k, v", "missing terms"),
    (
        "return self.k[:, :, :end], self.v[:, :, :end]",
        "return self.v[:, :, :end], self.k[:, :, :end]",
        "swapped",
    ),
    ("return self.k[:, :, :end], self.v[:, :, :end]", "return self.k, self.v", "shape"),
    (
        "return self.k[:, :, :end], self.v[:, :, :end]",
        "return self.k[:, :, :end].copy(), self.v[:, :, :end].copy()",
        "value",
    ),
    ("self.v[:, :, begin:end] = v", "self.v[:, :, begin:end] = k", "swapped"),
    (
        "if old is None or np.array_equal(rows, np.arange(len(old))):",
        "if True:",
        "missing terms",
    ),
    ("self._used(old)[xp.asarray(rows)]", "self._used(old)[rows[::-1]]", "value"),
    ("self.padding = self.padding[rows]", "pass", "shape"),
    (
        "if self.padding is not None:\n            self",
        "if True:\n            self",
        "error",
    ),
]
