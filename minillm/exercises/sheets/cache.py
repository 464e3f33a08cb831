"""Exercise: the key–value cache of decoding."""

import numpy as np

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise, Failure

exercise = Exercise(
    name="cache",
    title="the key–value cache",
    task="""
    A model that writes adds one token after another. Keys and values of the earlier
    tokens never change, so they are kept: for a new token, only its own are computed.

    `KeyValueCache` has room for `capacity` tokens in `self.k` and `self.v`, both
    (B, H, capacity, d), of which the first `self.length` are used.

    1. `append(k, v)` gets the keys and values of the next t tokens, (B, H, t, d). It
       writes them behind those in use, counts them in `self.length`, and returns the
       keys and values of all tokens so far, (B, H, length, d), as views.

    2. `select(rows)` goes on with these sequences, in this order: beam search throws
       some away and continues others twice. Only `_take(rows)` is missing in it: each
       array that `self.of_sequences` names (and that is not None) gets these rows of
       itself. A new array will do. The engine keeps the old one where there are as
       many rows as before.
    """,
    read="""the tour, stop 9; `LSTMState` in minillm/nn/cache.py, which has other arrays
    in `of_sequences`.""",
    cut=Cut("minillm.nn.cache", {"Cache._take": "", "KeyValueCache.append": ""}),
    hints=(
        "The place of the new tokens begins at self.length and is k.shape[2] long.",
        "An array of row numbers as an index, array[rows], gives a new array with "
        "those rows. getattr and setattr reach an attribute by its name.",
        "begin, end = self.length, self.length + k.shape[2]; self.k[:, :, begin:end] = "
        "k; … ; return self.k[:, :, :end], self.v[:, :, :end]",
    ),
)


def parts(c: Cases) -> dict:
    """Tokens that come in parts."""
    lengths = [c.integer(1, 3) for _ in range(c.integer(1, 3))]
    batch, heads, d = (c.integer(1, 2) for _ in range(3))
    shape = batch, heads, sum(lengths), d
    return {"k": c.numbers(shape), "v": c.numbers(shape), "lengths": lengths}


def rows(c: Cases) -> dict:
    batch = c.integer(2, 3)
    shape = batch, 1, c.integer(1, 3), 2
    rows = np.array([c.integer(0, batch - 1) for _ in range(c.integer(1, 4))])
    return {"k": c.numbers(shape), "v": c.numbers(shape), "rows": rows}


def new(student, k, room: int, padding=None):
    batch, heads, _, d = k.shape
    return student.KeyValueCache(batch, heads, room, d, k.dtype, padding)


def pair(found) -> tuple:
    if not isinstance(found, tuple) or len(found) != 2:
        raise Failure("type", "append returns two arrays: all keys, all values")
    return tuple(looking.array_of(each, "append(k, v)") for each in found)


@exercise.property(points=3, inputs=parts)
def all_so_far(student, k, v, lengths):
    """append returns the keys and values of all tokens so far."""
    cache, begin = new(student, k, k.shape[2] + 2), 0
    for n in lengths:
        end = begin + n
        part = slice(begin, end)
        keys, values = pair(cache.append(k[:, :, part], v[:, :, part]))
        for found, whole, what in ((keys, k, "keys"), (values, v, "values")):
            other = v if whole is k else k
            only_new = np.zeros_like(whole[:, :, :end])
            only_new[:, :, :n] = whole[:, :, part]
            looking.equal(
                found,
                whole[:, :, :end],
                f"the {what} after {end} tokens",
                instead=[
                    ("missing terms", whole[:, :, part], "Only the new tokens return."),
                    ("value", only_new, "The new tokens stand in the first place."),
                    ("swapped", other[:, :, :end], "Keys and values are exchanged."),
                ],
            )
        begin = end


@exercise.property(points=1, inputs=parts)
def length(student, k, v, lengths):
    """`length` counts the tokens."""
    cache = new(student, k, k.shape[2] + 2)
    begin = 0
    for n in lengths:
        cache.append(k[:, :, begin : begin + n], v[:, :, begin : begin + n])
        begin += n
        if cache.length != begin:
            raise Failure(
                "value", f"length is {cache.length} after {begin} tokens in parts"
            )


@exercise.property(points=1, inputs=parts)
def views(student, k, v, lengths):
    """What append returns are views of the cache: nothing is copied for each token."""
    cache = new(student, k, k.shape[2])
    for found, kept in zip(cache.append(k, v), (cache.k, cache.v), strict=True):
        if found.shape != k.shape:
            raise Failure("shape", f"append returns {found.shape}, not {k.shape}")
        if not np.shares_memory(found, kept):
            raise Failure("value", "append returns copies: a slice is a view.")
        if np.shares_memory(kept, k) or np.shares_memory(kept, v):
            raise Failure("shared", "The cache keeps the caller's array itself.")


@exercise.property(points=2, inputs=parts)
def decoding(student, k, v, lengths):
    """Token by token, attention gives what it gives to all tokens at once."""
    from minillm.ops import attention

    cache, q = new(student, k, k.shape[2]), k[:, :, ::-1].copy()
    found = []
    for t in range(k.shape[2]):
        one = slice(t, t + 1)
        keys, values = cache.append(k[:, :, one], v[:, :, one])
        found.append(attention(q[:, :, one], keys, values, causal=True).numpy())
    expected = attention(q, k, v, causal=True).numpy()
    looking.equal(np.concatenate(found, 2), expected, "attention token by token")


@exercise.property(points=2, inputs=rows)
def selected_rows(student, k, v, rows):
    """select(rows) goes on with these sequences, in this order."""
    padding = np.arange(len(k))
    cache = new(student, k, k.shape[2] + 1, padding)
    cache.append(k, v)
    cache.select(rows)
    n = k.shape[2]
    for found, whole, what in ((cache.k, k, "k"), (cache.v, v, "v")):
        looking.equal(
            looking.array_of(found, f"cache.{what}")[:, :, :n],
            whole[rows],
            f"cache.{what} after select({rows.tolist()})",
            instead=[("missing terms", whole, f"select leaves {what} as it is.")],
        )
    looking.equal(cache.padding, padding[rows], "cache.padding after select")
    half = new(student, k.astype(np.float32), k.shape[2])
    half.select(rows)
    if half.k.dtype != np.float32:
        raise Failure("float64", f"select makes {half.k.dtype} of a cache in float32")


@exercise.property(points=1, inputs=rows)
def sequences_apart(student, k, v, rows):
    """A sequence that is there twice is two sequences afterwards."""
    cache = new(student, k, k.shape[2] + 1)
    cache.append(k, v)
    cache.select(np.array([0, 0]))
    next_k = np.stack([k[0, :, :1], 2 * k[0, :, :1]])
    keys, _ = pair(cache.append(next_k, next_k))
    looking.equal(keys[:, :, -1:], next_k, "the next keys of both")
    if cache.padding is not None:
        raise Failure("value", "padding was None, and is to stay None")
