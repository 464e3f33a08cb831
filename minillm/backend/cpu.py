"""NumPy's faster bodies: what each op of `ops/` does, with fewer passes over memory.

Every body takes the arguments of the op of its name and returns what the op returns;
`tests/ops/test_bodies.py` compares the two. Bodies may look at values, which the
definitions must not. What they have in common: matrix products on two-dimensional
arrays (NumPy would loop over the batch), sums along the last axis as products with a
vector of ones (BLAS is several times quicker than `sum` on short rows), and writing
into arrays of their own.
"""

import math

import numpy as np

from minillm.backend.registry import definition_of, faster, joint

# Numbers that stay in a core's second-level cache while several passes run over them.
CHUNK = 32_768
# A row of exp(scores − largest of all rows) that sums to less has lost its precision.
TINY = 1e-20


@faster("linear")
def linear(x, weight, bias):
    """One product for all rows of the batch, the bias added in place."""
    rows = _rows(x)
    y = rows @ weight
    if bias is not None:
        y += bias

    def pull_bias(g):
        return np.ones(len(rows), g.dtype) @ _rows(g)

    return (
        y.reshape(*x.shape[:-1], weight.shape[1]),
        lambda g: (_rows(g) @ weight.T).reshape(x.shape),
        lambda g: rows.T @ _rows(g),
        pull_bias,
    )


@faster("embedding")
def embedding(table, *, ids):
    """Sorts the gradients by id and adds up each run: 4 × quicker than `add.at`."""

    def pullback(g):
        gradient = np.zeros_like(table)
        flat = ids.ravel()
        if flat.size:
            order = np.argsort(flat, kind="stable")
            ordered = flat[order]
            begins = np.flatnonzero(np.diff(ordered, prepend=ordered[0] - 1))
            rows = np.take(_rows(g), order, axis=0)
            gradient[ordered[begins]] = np.add.reduceat(rows, begins, axis=0)
        return gradient

    return np.take(table, ids, axis=0), pullback


@faster("layer_norm")
def layer_norm(x, gain, bias, *, eps=1e-5):
    """Means as matrix-vector products, everything else in place."""
    rows = _rows(x)
    average = np.full(rows.shape[1], 1 / rows.shape[1], rows.dtype)
    unit = rows - (rows @ average)[:, None]
    variance = np.einsum("nd,nd->n", unit, unit) / rows.shape[1]
    inverse_sd = (1 / np.sqrt(variance + eps))[:, None]
    unit *= inverse_sd
    y = unit * gain
    if bias is not None:
        y += bias

    def pullback(g):
        g = _rows(g)
        gx = g * gain
        mean = (gx @ average)[:, None]
        product = gx * unit
        share = (product @ average)[:, None]
        gx -= mean
        gx -= np.multiply(unit, share, out=product)
        gx *= inverse_sd
        ones = np.ones(len(g), g.dtype)
        g_gain = ones @ np.multiply(g, unit, out=product)
        return gx.reshape(x.shape), g_gain, None if bias is None else ones @ g

    return y.reshape(x.shape), joint(pullback)


@faster("gelu")
def gelu(x, *, form="tanh"):
    """Value and slope in one visit to each piece of x, while it is in cache."""
    if form != "tanh":
        return definition_of("gelu")(x, form=form)
    flat = x.reshape(-1)
    y = np.empty_like(flat)
    slope = np.empty_like(flat)
    c = math.sqrt(2 / math.pi)
    for begin in range(0, flat.size, CHUNK):
        piece = slice(begin, begin + CHUNK)
        xs, ys, slopes = flat[piece], y[piece], slope[piece]
        squared = xs * xs
        np.multiply(squared, c * 0.044715, out=ys)
        ys += c
        ys *= xs
        t = np.tanh(ys, out=ys)
        # slope = (1 + t)/2 + x/2·(1 − t²)·c·(1 + 3·0.044715·x²)
        squared *= c * 1.5 * 0.044715
        squared += c / 2
        squared *= xs
        np.multiply(t, t, out=slopes)
        np.subtract(1, slopes, out=slopes)
        slopes *= squared
        t += 1
        t *= 0.5
        slopes += t
        ys *= xs
    slope = slope.reshape(x.shape)
    return y.reshape(x.shape), lambda g: g * slope


@faster("attention")
def attention(q, k, v, *, causal=False, mask=None):
    """See `_attend`."""
    y = np.empty((*q.shape[:-1], v.shape[-1]), q.dtype)
    gradients = _attend(q, k, v, causal, mask, y)
    if gradients is None:
        return definition_of("attention")(q, k, v, causal=causal, mask=mask)

    def pullback(g):
        out = np.empty_like(q), np.empty_like(k), np.empty_like(v)
        gradients(g, *out)
        return out

    return y, joint(pullback)


@faster("self_attention")
def self_attention(qkv, *, n_heads, causal=False, mask=None):
    """See `_attend`. Heads are views of the packed array: nothing is copied apart or
    together, forward or backward."""
    batch, length, width = qkv.shape
    q, k, v = _heads(qkv, 3, n_heads)
    y = np.empty((batch, length, width // 3), qkv.dtype)
    gradients = _attend(q, k, v, causal, mask, _heads(y, 1, n_heads)[0])
    if gradients is None:
        definition = definition_of("self_attention")
        return definition(qkv, n_heads=n_heads, causal=causal, mask=mask)

    def pullback(g):
        packed = np.empty_like(qkv)
        gradients(_heads(g, 1, n_heads)[0], *_heads(packed, 3, n_heads))
        return packed

    return y, pullback


def _attend(q, k, v, causal, mask, y):
    """Writes softmax(q kᵀ/√d) v into y; returns what writes the gradients, or None.

    Softmax is the same whatever is subtracted from a row. One maximum of all scores
    takes a tenth of the time of a maximum for each row, and exp cannot overflow; where
    a row lies so far below it that its sum vanishes (or all of it is masked), the
    answer is None and the definition, which takes each row's own maximum, is run.
    """
    scale = 1 / math.sqrt(q.shape[-1])
    # Transposed in memory, since BLAS is quicker on it; always an array of its own.
    k_columns = np.multiply(k.swapaxes(-1, -2), scale, order="C")
    scores = q @ k_columns  # (..., T, S)
    if mask is not None and mask.dtype != bool:
        scores += mask
    # From a finite number, since −∞ − (−∞) would warn where all scores are masked.
    scores -= scores.max(initial=np.finfo(scores.dtype).min)
    e = np.exp(scores, out=scores)
    # Masked before the division: the sum runs over what may be seen only.
    if causal:
        e *= _causal(*e.shape[-2:], e.dtype)
    if mask is not None and mask.dtype == bool:
        e *= mask
    total = e @ np.ones(e.shape[-1], e.dtype)
    if not total.min(initial=math.inf) > TINY:  # catches NaN too
        return None
    weights = np.multiply(e, (1 / total)[..., None], out=e)
    np.matmul(weights, v, out=y)

    def gradients(g, gq, gk, gv):
        np.matmul(weights.swapaxes(-1, -2), g, out=gv)
        gs = g @ np.ascontiguousarray(v.swapaxes(-1, -2))
        # Σ_j gw_ij·w_ij = g_i·y_i: a sum over the head's width, not over all keys
        gs -= np.einsum("...te,...te->...t", g, y)[..., None]
        gs *= weights
        np.matmul(gs, k, out=gq)
        gq *= scale
        np.matmul(gs.swapaxes(-1, -2), q, out=gk)
        gk *= scale

    return gradients


@faster("linear_cross_entropy")
def linear_cross_entropy(x, weight, *, targets, n_targets=None):
    """Some rows at a time, forward and backward at once while their logits are in
    cache: the logits never lie in memory whole. Rows without a target are left out."""
    rows, flat = _rows(x), targets.reshape(-1)
    kept = np.flatnonzero(flat >= 0)
    n = max(kept.size if n_targets is None else n_targets, 1)
    gx = np.zeros_like(rows) if kept.size < len(rows) else np.empty_like(rows)
    gw = np.zeros_like(weight)
    ones = np.ones(len(weight), rows.dtype)
    columns = weight.T
    loss = 0.0
    step = max(1, CHUNK * 4 // len(weight))
    for begin in range(0, kept.size, step):
        chosen = kept[begin : begin + step]
        if chosen[-1] - chosen[0] == len(chosen) - 1:  # no gap: a view will do
            chosen = slice(chosen[0], chosen[-1] + 1)
        xs, ts = rows[chosen], flat[chosen]
        p = xs @ columns
        at_target = (np.arange(len(xs)), ts)
        p -= p.max()
        # A target far below the largest of all rows: shift each row by its own maximum.
        if p[at_target].min() < math.log(TINY):
            p -= p.max(-1, keepdims=True)
        picked = p[at_target]
        np.exp(p, out=p)
        total = p @ ones
        loss += float((np.log(total) - picked).sum(dtype=np.float64))
        p *= (1 / (total * n))[:, None]
        p[at_target] -= 1 / n
        gx[chosen] = p @ weight
        gw += p.T @ xs
    gx = gx.reshape(x.shape)
    return x.dtype.type(loss / n), joint(lambda g: (gx * g, gw * g))


@faster("adamw")
def adamw(data, grad, m, v, *, lr, beta1, beta2, eps, weight_decay, step, scale):
    """A piece of all four arrays at a time, in two pieces of scratch memory."""
    step_size = lr / (1 - beta1**step)
    root_correction = 1 / math.sqrt(1 - beta2**step)
    g = np.empty(min(CHUNK, data.size), data.dtype)
    work = np.empty_like(g)
    for begin in range(0, data.size, CHUNK):
        piece = slice(begin, begin + CHUNK)
        ds, ms, vs = data[piece], m[piece], v[piece]
        gs, ws = g[: ds.size], work[: ds.size]
        np.multiply(grad[piece], scale, out=gs)
        ms *= beta1
        ms += np.multiply(gs, 1 - beta1, out=ws)
        vs *= beta2
        gs *= gs
        gs *= 1 - beta2
        vs += gs
        np.sqrt(vs, out=gs)
        gs *= root_correction
        gs += eps
        np.divide(ms, gs, out=gs)
        gs *= step_size
        if weight_decay:
            ds *= 1 - lr * weight_decay
        ds -= gs


@faster("squared_norm")
def squared_norm(grad):
    """One pass, in the type of the gradient."""
    return np.dot(grad, grad)


# Copies of helpers in ops/, a room above this one, from which it cannot import.


def _rows(x):
    """(..., D) -> (N, D)."""
    return x.reshape(-1, x.shape[-1])


def _heads(x, parts, n_heads):
    """(B, T, parts·D) -> parts views of shape (B, H, T, D/H)."""
    batch, length, width = x.shape
    heads = x.reshape(batch, length, parts, n_heads, width // (parts * n_heads))
    return heads.transpose(2, 0, 3, 1, 4)


def _causal(n_queries, n_keys, dtype):
    """1 where a query may look, 0 elsewhere.   (T, S)"""
    return np.tri(n_queries, n_keys, n_keys - n_queries, dtype=dtype)
