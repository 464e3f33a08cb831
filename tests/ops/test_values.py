"""The value of every op against NumPy, written out as plainly as can be."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm import backend
from minillm.testing import TABLE, cases


def along(x, axis, function):
    return np.apply_along_axis(function, axis, x)


def layer_norm(x, gain, bias, *, eps):
    def unit(row):
        return (row - row.mean()) / np.sqrt(row.var() + eps)

    return along(x, -1, unit) * gain + (0 if bias is None else bias)


def rms_norm(x, gain, *, eps):
    def unit(row):
        return row / math.sqrt((row @ row) / len(row) + eps)

    return along(x, -1, unit) * gain


def rotary(x, *, cos, sin, n_turned):
    """Products of complex numbers."""
    half, y = x.shape[-1] // 2, x.copy()
    turned = (x[..., :half] + 1j * x[..., half:]) * (cos + 1j * sin)
    y[..., :n_turned, :] = np.concatenate([turned.real, turned.imag], -1)[
        ..., :n_turned, :
    ]
    return y


def gelu(x, *, form):
    if form == "erf":
        return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def attention(q, k, v, bias, *, causal, mask, rate, key, first_row):
    n_queries, n_keys = q.shape[-2], k.shape[-2]
    leading = q.shape[:-2]
    if leading:  # a head of keys for each of queries
        k, v = (np.repeat(x, leading[-1] // x.shape[-3], -3) for x in (k, v))
    added = np.zeros((*leading, n_queries, n_keys))
    if mask is not None:
        added = added + (np.where(mask, 0, -np.inf) if mask.dtype == bool else mask)
    if bias is not None:
        added = added + bias
    kept = dropout(np.ones(added.shape), rate=rate, key=key, first_row=first_row)
    y = np.zeros((*leading, n_queries, v.shape[-1]))
    for place in np.ndindex(leading):
        for i in range(n_queries):
            last = n_keys - n_queries + i if causal else n_keys - 1
            for_each_key = [
                math.exp(q[place][i] @ k[place][j] / math.sqrt(q.shape[-1]))
                * math.exp(added[place][i, j])
                for j in range(last + 1)
            ]
            for j, weight in enumerate(for_each_key):
                if weight:
                    weight *= kept[place][i, j] / sum(for_each_key)
                    y[place][i] += weight * v[place][j]
    return y


def self_attention(qkv, bias, *, n_heads, n_kv_heads, **settings):
    n = n_kv_heads or n_heads
    width = qkv.shape[-1] // (n_heads + 2 * n)
    q, k, v = np.split(qkv, [width * n_heads, width * (n_heads + n)], axis=-1)
    return in_heads(q, k, v, bias, n_heads, n, **settings)


def cross_attention(q, kv, bias, *, n_heads, n_kv_heads, **settings):
    parts = q, *np.split(kv, 2, axis=-1)
    n = n_kv_heads or n_heads
    return in_heads(*parts, bias, n_heads, n, causal=False, **settings)


def in_heads(q, k, v, bias, n_heads, n_kv_heads, **settings):
    """The heads as a second axis, and put side by side again."""
    numbers = (q, n_heads), (k, n_kv_heads), (v, n_kv_heads)
    heads = [np.stack(np.split(part, n, axis=-1), 1) for part, n in numbers]
    y = attention(*heads, bias, **settings)
    return np.concatenate(list(np.moveaxis(y, 1, 0)), axis=-1)


def dropout(x, *, rate, key, first_row):
    """The hash in Python's whole numbers."""
    y = np.zeros_like(x)
    flat, per_row = y.reshape(-1), x[0].size
    for i, number in enumerate(x.reshape(-1)):
        h = (i + first_row * per_row) % 2**32
        for mixed_in in (key * 0x9E3779B9 % 2**32, 0):
            for shift, multiplier in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
                h = (h ^ (h >> shift)) * multiplier % 2**32
            h ^= mixed_in
        if h >= int(rate * 2**32):
            flat[i] = number / (1 - rate)
    return y


def lstm(x, weight, bias, recurrent, hidden, cell):
    """One number at a time."""
    batch, length, width = len(x), x.shape[1], len(recurrent)
    bias = np.zeros(4 * width) if bias is None else bias
    y = np.zeros((batch, length, width))
    for b in range(batch):
        h = np.zeros(width) if hidden is None else hidden[b]
        c = np.zeros(width) if cell is None else cell[b].copy()
        for t in range(length):
            z = x[b, t] @ weight + bias + h @ recurrent
            for d in range(width):
                i, f, o = (1 / (1 + math.exp(-z[k * width + d])) for k in range(3))
                c[d] = f * c[d] + i * math.tanh(z[3 * width + d])
                y[b, t, d] = o * math.tanh(c[d])
            h = y[b, t]
    return y


def cross_entropy(logits, *, targets, n_targets):
    rows = logits.reshape(-1, logits.shape[-1])
    kept = [
        (row, t) for row, t in zip(rows, targets.reshape(-1), strict=True) if t >= 0
    ]
    losses = [math.log(np.exp(row).sum()) - row[t] for row, t in kept]
    return sum(losses) / max(1, len(kept) if n_targets is None else n_targets)


def pad(x, *, pad_width, value):
    return np.pad(x, pad_width, constant_values=value)


def tril(x, *, k):
    i, j = np.arange(x.shape[-2])[:, None], np.arange(x.shape[-1])
    return np.where(j <= i + k, x, 0)


def einsum(*arrays, subscripts):
    return np.einsum(subscripts, *arrays, optimize=False)


def logsumexp(x, *, axis, keepdims):
    return np.log(np.exp(x).sum(axis, keepdims=keepdims))


REFERENCES = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "power": lambda x, exponent: np.power(x, exponent),
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "pow": np.power,
    "abs": np.abs,
    "sin": np.sin,
    "cos": np.cos,
    "log1p": np.log1p,
    "maximum": lambda x, y: np.where(x > y, x, y),
    "minimum": lambda x, y: np.where(x > y, y, x),
    "clip": np.clip,
    "stack": lambda *arrays, axis: np.stack(arrays, axis),
    "squeeze": np.squeeze,
    "pad": pad,
    "broadcast_to": np.broadcast_to,
    "take_along_axis": np.take_along_axis,
    "tril": tril,
    "einsum": einsum,
    "min": np.min,
    "var": np.var,
    "std": np.std,
    "logsumexp": logsumexp,
    "cumsum": np.cumsum,
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "where": lambda x, y, condition: np.where(condition, x, y),
    "matmul": np.matmul,
    "reshape": lambda x, shape: np.reshape(x, shape),
    "transpose": lambda x, axes: np.transpose(x, axes),
    "getitem": lambda x, index: x[index],
    "concatenate": lambda *arrays, axis: np.concatenate(arrays, axis),
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "linear": lambda x, w, b: (
        np.einsum("...n,nm->...m", x, w) + (0 if b is None else b)
    ),
    "embedding": lambda table, ids: table[ids],
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "rotary": rotary,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "gelu": gelu,
    "swiglu": lambda gate, up: gate / (1 + np.exp(-gate)) * up,
    "softmax": lambda x, axis: along(x, axis, lambda r: np.exp(r) / np.exp(r).sum()),
    "log_softmax": lambda x, axis: along(
        x, axis, lambda r: r - np.log(np.exp(r).sum())
    ),
    "dropout": dropout,
    "attention": attention,
    "self_attention": self_attention,
    "cross_attention": cross_attention,
    "lstm": lstm,
    "cross_entropy": cross_entropy,
    "linear_cross_entropy": lambda x, w, **kw: cross_entropy(x @ w.T, **kw),
}


def test_every_row_has_a_reference():
    assert set(REFERENCES) == set(TABLE)


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
@given(data=st.data())
def test_the_value_is_numpys(row, data):
    arrays, settings = data.draw(cases(row))
    expected = REFERENCES[row.name](*arrays, **settings)
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 2e-5)):
        inputs = [None if x is None else np.asarray(x, dtype) for x in arrays]
        found = row.op(*inputs, **settings).numpy()
        with backend.plain():
            plain = row.op(*inputs, **settings).numpy()
        assert found.shape == plain.shape == np.shape(expected)
        np.testing.assert_allclose(plain, expected, tolerance, tolerance)
        np.testing.assert_allclose(found, expected, tolerance, tolerance)
