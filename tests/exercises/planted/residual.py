"""Planted bugs: (text of the solution, what stands there instead, kind)."""

PRE = "return x + drop(f(norm(x)), noise)"
POST = "return norm(x + drop(f(x), noise))"

BUGS = [
    (PRE, "return drop(f(norm(x)), noise)", "missing terms"),
    (PRE, "return norm(x) + drop(f(norm(x)), noise)", "order"),
    (PRE, "return x + drop(norm(f(x)), noise)", "order"),
    (PRE, "return x + drop(f(x), noise)", "missing terms"),
    (PRE, "return x + f(norm(x))", "missing terms"),
    (PRE, "return drop(x + f(norm(x)), noise)", "order"),
    (POST, "return norm(drop(f(x), noise))", "missing terms"),
    (POST, "return norm(x + drop(f(norm(x)), noise))", "extra terms"),
    (POST, "return x + drop(f(norm(x)), noise)", "order"),
    ("if self.pre_norm:", "if not self.pre_norm:", "order"),
    (
        "self.attention(h, mask, noise), x, self.norm1",
        "self.attention(h, mask, noise), x, self.norm2",
        "swapped",
    ),
    (
        "return self.around(self.feed_forward, x, self.norm2",
        "return self.around(self.feed_forward, x, self.norm1",
        "swapped",
    ),
    (
        "return self.around(self.feed_forward, x, self.norm2, noise)",
        "return x",
        "missing terms",
    ),
    (
        "self.attention(h, mask, noise)",
        "self.attention(h, None, noise)",
        "missing terms",
    ),
]
