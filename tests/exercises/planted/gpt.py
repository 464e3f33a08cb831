"""Planted bugs: (text of the solution, what stands there instead, kind)."""

LOOP = "for block in self.blocks:\n            x = block(x, key_mask, noise)"

BUGS = [
    ("return normed(x, self.norm)", "return x", "missing terms"),
    (
        "return normed(x, self.norm)",
        "return normed(normed(x, self.norm), self.norm)",
        "value",
    ),
    (
        LOOP,
        "for block in self.blocks[::-1]:\n            x = block(x, key_mask, noise)",
        "order",
    ),
    (
        LOOP,
        "for block in self.blocks[:1]:\n            x = block(x, key_mask, noise)",
        "missing terms",
    ),
    (
        LOOP,
        "e = x\n"
        "        for block in self.blocks:\n"
        "            x = block(e, key_mask, noise)",
        "missing terms",
    ),
    (LOOP, "pass", "missing terms"),
    ("block(x, key_mask, noise)", "block(x, None, noise)", "extra terms"),
    ("block(x, key_mask, noise)", "block(x, key_mask)", "missing terms"),
    (
        "drop(self.embed(self.checked(ids)), noise)",
        "self.embed(self.checked(ids))",
        "missing terms",
    ),
    (
        "self.embed(self.checked(ids))",
        "self.tokens(self.checked(ids))",
        "missing terms",
    ),
    ("return normed(x, self.norm)", "return normed(x, self.norm).data", "error"),
]
