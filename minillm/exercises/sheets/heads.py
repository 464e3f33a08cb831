"""Exercise: columns are cut into heads, and put together again."""

import numpy as np

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise, Failure

exercise = Exercise(
    name="heads",
    title="several heads: cut columns, put them together",
    task="""
    Multi-head attention runs several small attentions side by side, each on its own
    columns. x (B, T, n·d) holds n heads of width d: head h has the columns h·d to
    (h + 1)·d. Attention wants the heads as an axis before that of the positions:

        split_heads     (B, T, n·d) -> (B, n, T, d)
        merge_heads     (B, n, T, d) -> (B, T, n·d)

    `merge_heads` is the inverse: merged again, split heads are what they were.

    Queries, keys and values may stand side by side in one x. So `split_heads(x, 4, 2,
    2)` cuts x into 8 heads and returns a list of three arrays, with the first 4 heads,
    the next 2, and the last 2. All are views: no number is copied.

    A reshape alone does not move numbers in memory: (B, T, n·d) reshaped to
    (B, n, T, d) mixes positions with heads. Reshape to (B, T, n, d) first; then
    exchange two axes.
    """,
    read="""the tour, stop 4; NumPy's pages of `reshape` and `swapaxes`;
    `self_attention` in minillm/ops/attention.py, which calls both.""",
    cut=Cut("minillm.backend.arrays", {"split_heads": "", "merge_heads": ""}),
    hints=(
        "n is sum(parts), and d is the number of columns divided by n. Which two axes "
        "of (B, T, n, d) are to be exchanged for (B, n, T, d)?",
        "`itertools.accumulate(parts)` says where each part ends among the heads; "
        "heads[:, end - part : end] is that part.",
        "heads = x.reshape(batch, length, n, width // n).swapaxes(1, 2); merging is "
        "the same two steps backwards: x.swapaxes(1, 2).reshape(…)",
    ),
)


def heads(c: Cases) -> dict:
    parts = tuple(c.integer(1, 3) for _ in range(c.integer(1, 3)))
    d, batch, length = (c.integer(1, 3) for _ in range(3))
    x = np.arange(batch * length * sum(parts) * d, dtype=float)
    return {"x": x.reshape(batch, length, sum(parts) * d), "parts": parts}


def several(c: Cases) -> dict:
    n, d = c.integer(2, 3), c.integer(1, 3)
    qkv = c.numbers((c.integer(1, 2), c.integer(2, 3), 3 * n * d))
    return {"qkv": qkv, "n": n}


def split(x: np.ndarray, parts: tuple) -> list[np.ndarray]:
    """Number by number."""
    batch, length, width = x.shape
    d = width // sum(parts)
    found, begin = [], 0
    for part in parts:
        head = np.zeros((batch, part, length, d))
        for b, h, t, i in np.ndindex(head.shape):
            head[b, h, t, i] = x[b, t, (begin + h) * d + i]
        found.append(head)
        begin += part
    return found


def parts_of(student, x, parts) -> list:
    found = student.split_heads(x, *parts)
    if not isinstance(found, list | tuple) or len(found) != len(parts):
        raise Failure("type", f"split_heads returns a list of {len(parts)} arrays")
    return found


@exercise.property(points=2, inputs=heads)
def cut_into_heads(student, x, parts):
    """split_heads gives each part its heads, with the columns of each."""
    found = parts_of(student, x, parts)
    batch, length, width = x.shape
    n = sum(parts)
    mixed = x.reshape(batch, n, length, width // n)
    strided = x.reshape(batch, length, width // n, n).transpose(0, 3, 1, 2)
    begin = 0
    for part, got, expected in zip(parts, found, split(x, parts), strict=True):
        here = slice(begin, begin + part)
        looking.equal(
            got,
            expected,
            f"heads {begin} to {begin + part - 1} of split_heads(x, *{parts})",
            instead=[
                ("order", mixed[:, here], "A reshape alone mixes positions and heads."),
                ("order", strided[:, here], "A head has neighbouring columns."),
                (
                    "transposed",
                    expected.swapaxes(1, 2),
                    "Heads and positions are exchanged: heads come first.",
                ),
                (
                    "transposed",
                    expected.swapaxes(2, 3),
                    "Positions and columns of a head are exchanged.",
                ),
            ],
        )
        begin += part


@exercise.property(points=2, inputs=heads)
def put_together(student, x, parts):
    """merge_heads puts the columns of all heads side by side again."""
    (heads,) = split(x, (sum(parts),))
    looking.equal(
        student.merge_heads(heads),
        x,
        "merge_heads(heads)",
        instead=[
            ("order", heads.reshape(x.shape), "A reshape alone mixes positions."),
            (
                "order",
                heads.transpose(0, 2, 3, 1).reshape(x.shape),
                "This permutation is not the inverse: columns of heads are mixed.",
            ),
        ],
    )


@exercise.property(points=1, inputs=heads)
def there_and_back(student, x, parts):
    """Merged again, split heads are what they were."""
    (heads,) = parts_of(student, x, (sum(parts),))
    looking.equal(student.merge_heads(heads), x, "merge_heads(split_heads(x))")


@exercise.property(points=1, inputs=heads)
def views(student, x, parts):
    """Split heads are views of x: nothing is copied."""
    for got in parts_of(student, x, parts):
        if not np.shares_memory(got, x):
            raise Failure(
                "value", "The heads are copies; slices and swapaxes are views."
            )


@exercise.property(points=2, inputs=several)
def attention_of_each_head(student, qkv, n):
    """Attention between them treats each head by itself."""
    from minillm.ops import attention

    q, k, v = parts_of(student, qkv, (n, n, n))
    found = student.merge_heads(attention(q, k, v).numpy())
    d = qkv.shape[-1] // (3 * n)
    columns = [qkv[..., i * d : (i + 1) * d] for i in range(3 * n)]
    expected = [
        attention(columns[h], columns[n + h], columns[2 * n + h]).numpy()
        for h in range(n)
    ]
    looking.equal(found, np.concatenate(expected, -1), "attention in several heads")
