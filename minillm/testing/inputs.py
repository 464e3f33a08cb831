"""Inputs of each op for tests: (choices, domain) -> ([arrays], {settings})."""

import numpy as np

from minillm.ops import IGNORED
from minillm.testing.choices import Choices, Domain


def single(c: Choices, domain: Domain):
    return [c.numbers(c.shape(), domain)], {}


def pair(c: Choices, domain: Domain):
    return [c.numbers(shape, domain) for shape in c.broadcastable(2)], {}


def power(c: Choices, domain: Domain):
    return [c.numbers(c.shape(), domain)], {"exponent": c.one_of(2, 3, 0.5, -1.5)}


def where(c: Choices, domain: Domain):
    x, y, condition = c.broadcastable(3)
    arrays = [c.numbers(x, domain), c.numbers(y, domain)]
    return arrays, {"condition": c.mask(condition)}


def matmul(c: Choices, domain: Domain):
    """Matrices, batches of them, a vector on either side or on both."""
    n, k, m = (c.integer(1, 4) for _ in range(3))
    batch_x, batch_y = c.broadcastable(2, max_dims=2)
    x = c.one_of((*batch_x, n, k), (k,))
    y = c.one_of((*batch_y, k, m), (k,))
    return [c.numbers(x, domain), c.numbers(y, domain)], {}


def reshape(c: Choices, domain: Domain):
    shape = c.shape()
    new = c.one_of((-1,), shape[::-1], (1, *shape), (*shape[:1], -1))
    return [c.numbers(shape, domain)], {"shape": new}


def transpose(c: Choices, domain: Domain):
    shape = c.shape()
    axes = tuple(
        axis - len(shape) * c.integer(0, 1) for axis in c.permutation(len(shape))
    )
    return [c.numbers(shape, domain)], {"axes": c.one_of(axes, None)}


def getitem(c: Choices, domain: Domain):
    shape = c.shape(min_dims=1)
    rows = c.ids(shape[0], (5,))  # more than there are rows: some twice
    index = c.one_of(
        -1,
        slice(None, None, -2),
        (Ellipsis, None, 0),
        (slice(0, 1), ...),
        rows,
        (..., c.ids(shape[-1], (2, 3))),
        (rows[:3], *[c.ids(side, (2, 1)) for side in shape[1:2]]),
    )
    return [c.numbers(shape, domain)], {"index": index}


def concatenate(c: Choices, domain: Domain):
    shape = list(c.shape(min_dims=1))
    axis = c.axis(len(shape))
    arrays = []
    for _ in range(c.integer(1, 3)):
        shape[axis] = c.integer(0, 3)
        arrays.append(c.numbers(tuple(shape), domain))
    return arrays, {"axis": axis}


def reduction(c: Choices, domain: Domain):
    shape = c.shape()
    settings = {"axis": c.axes(len(shape)), "keepdims": c.one_of(False, True)}
    return [c.numbers(shape, domain)], settings


def along_axis(c: Choices, domain: Domain):
    shape = c.shape(min_dims=1)
    return [c.numbers(shape, domain)], {"axis": c.axis(len(shape))}


def linear(c: Choices, domain: Domain):
    n, m = c.integer(1, 4), c.integer(1, 4)
    x = c.numbers((*c.shape(), n), domain)
    bias = c.one_of(c.numbers((m,), domain), None)
    return [x, c.numbers((n, m), domain), bias], {}


def embedding(c: Choices, domain: Domain):
    n, width = c.integer(1, 4), c.integer(1, 4)
    return [c.numbers((n, width), domain)], {"ids": c.ids(n, c.shape())}


def layer_norm(c: Choices, domain: Domain):
    width = c.integer(2, 6)
    x = c.numbers((*c.shape(), width), domain)
    bias = c.one_of(c.numbers((width,), domain), None)
    return [x, c.numbers((width,), domain), bias], {"eps": c.one_of(1e-5, 0.1)}


def rms_norm(c: Choices, domain: Domain):
    width = c.integer(2, 6)
    x = c.numbers((*c.shape(), width), domain)
    return [x, c.numbers((width,), domain)], {"eps": c.one_of(1e-5, 0.1)}


def rotary(c: Choices, domain: Domain):
    batch, length, n_heads = c.integer(1, 3), c.integer(1, 4), c.integer(1, 3)
    half = c.integer(1, 3)
    x = c.numbers((batch, length, n_heads, 2 * half), domain)
    angle = c.numbers((*c.one_of((), (batch,)), length, 1, half), domain)
    turned = c.one_of(None, c.integer(0, n_heads))
    return [x], {"cos": np.cos(angle), "sin": np.sin(angle), "n_turned": turned}


def gelu(c: Choices, domain: Domain):
    return [c.numbers(c.shape(), domain)], {"form": c.one_of("tanh", "erf")}


def dropout(c: Choices, domain: Domain):
    x = c.numbers(c.shape(min_dims=1), domain)
    settings = {"rate": c.one_of(0.0, 0.5, 0.9), "key": c.integer(0, 2**40)}
    return [x], {**settings, "first_row": c.integer(0, 5)}


def attention(c: Choices, domain: Domain):
    """Heads of keys and values are shared at times."""
    leading, n_queries, n_keys = c.shape(max_dims=2), c.integer(1, 4), c.integer(1, 4)
    width, of_keys = c.integer(1, 4), leading
    if leading:
        leading = (*leading[:-1], leading[-1] * c.one_of(1, 1, 2, 3))
    arrays = [
        c.numbers((*leading, n_queries, width), domain),
        c.numbers((*of_keys, n_keys, width), domain),
        c.numbers((*of_keys, n_keys, c.integer(1, 4)), domain),
    ]
    causal = c.one_of(False, True)
    bias = _bias(c, leading, n_queries, n_keys, domain)
    settings = {"causal": causal, "mask": _mask(c, leading, n_queries, n_keys)}
    return [*arrays, bias], {**settings, **_dropping(c)}


def self_attention(c: Choices, domain: Domain):
    (n_heads, shared), head_width = _groups(c), c.integer(1, 3)
    batch, length = c.integer(1, 3), c.integer(1, 4)
    n_parts = n_heads + 2 * (shared or n_heads)
    qkv = c.numbers((batch, length, n_parts * head_width), domain)
    causal = c.one_of(False, True)
    mask = _mask(c, (batch, n_heads), length, length)
    bias = _bias(c, (batch, n_heads), length, length, domain)
    settings = {"n_heads": n_heads, "n_kv_heads": shared, "causal": causal}
    return [qkv, bias], {**settings, "mask": mask, **_dropping(c)}


def cross_attention(c: Choices, domain: Domain):
    (n_heads, shared), head_width = _groups(c), c.integer(1, 3)
    batch, n_queries, n_keys = c.integer(1, 3), c.integer(1, 4), c.integer(1, 4)
    width = n_heads * head_width
    q = c.numbers((batch, n_queries, width), domain)
    of_keys = 2 * (shared or n_heads) * head_width
    kv = c.numbers((batch, n_keys, of_keys), domain)
    mask = _mask(c, (batch, n_heads), n_queries, n_keys)
    bias = _bias(c, (batch, n_heads), n_queries, n_keys, domain)
    settings = {"n_heads": n_heads, "n_kv_heads": shared, "mask": mask}
    return [q, kv, bias], {**settings, **_dropping(c)}


def _groups(c: Choices) -> tuple:
    """Heads of queries, and of keys and values: as many (None), or a divisor."""
    n_kv_heads = c.integer(1, 2)
    n_heads = n_kv_heads * c.integer(1, 3)
    return n_heads, c.one_of(None, n_kv_heads)


def _bias(c: Choices, leading: tuple, n_queries: int, n_keys: int, domain: Domain):
    """Mostly None; else a number for each score, or one for all sequences."""
    every = (*leading, n_queries, n_keys)
    shape = c.one_of(None, None, None, every, every[1:])
    return None if shape is None else c.numbers(shape, domain)


def _dropping(c: Choices) -> dict:
    """Dropout of weights, mostly off."""
    rate = c.one_of(0.0, 0.0, 0.0, 0.3)
    return {"rate": rate, "key": c.integer(0, 2**40), "first_row": c.integer(0, 5)}


def _mask(c: Choices, leading: tuple, n_queries: int, n_keys: int):
    """None; boolean for each score, some rows of it full of False; keys that are
    padding; or numbers to add, some of them −∞."""
    kind = c.integer(0, 3)
    if kind == 0:
        return None
    if kind == 1:
        return c.mask((*leading, n_queries, n_keys)) & c.mask((n_queries, 1))
    if kind == 2:
        return c.mask((*leading[:1], *(1 for _ in leading[1:]), 1, n_keys))
    return np.where(c.mask((n_queries, n_keys)), c.numbers((n_keys,)), -np.inf)


def lstm(c: Choices, domain: Domain):
    """With a bias or none; with a state to begin from, a part of one, or none."""
    batch, length, width = c.integer(1, 3), c.integer(1, 4), c.integer(1, 3)
    n_in = c.integer(1, 3)
    x = c.numbers((batch, length, n_in), domain)
    weight = c.numbers((n_in, 4 * width), domain)
    bias = c.one_of(c.numbers((4 * width,), domain), None)
    recurrent = c.numbers((width, 4 * width), domain)
    states = [c.one_of(c.numbers((batch, width), domain), None) for _ in range(2)]
    return [x, weight, bias, recurrent, *states], {}


def cross_entropy(c: Choices, domain: Domain):
    shape, vocab_size = c.shape(), c.integer(1, 5)
    logits = c.numbers((*shape, vocab_size), domain)
    return [logits], _targets(c, shape, vocab_size)


def linear_cross_entropy(c: Choices, domain: Domain):
    shape, vocab_size, width = c.shape(), c.integer(1, 5), c.integer(1, 4)
    x = c.numbers((*shape, width), domain)
    weight = c.numbers((vocab_size, width), domain)
    return [x, weight], _targets(c, shape, vocab_size)


def _targets(c: Choices, shape: tuple, vocab_size: int) -> dict:
    """Some ignored, at times all; counted by the op or given for a larger batch."""
    kept = c.mask(shape) & c.one_of(True, True, True, False)
    targets = np.where(kept, c.ids(vocab_size, shape), IGNORED).astype(np.int32)
    return {"targets": targets, "n_targets": c.one_of(None, 7)}
