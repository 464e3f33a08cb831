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

from minillm.backend.arrays import as_rows
from minillm.backend.products import matmul
from minillm.backend.pullbacks import joint
from minillm.backend.registry import definition_of, faster, recording

# Numbers that stay in a core's second-level cache while several passes run over them.
CHUNK = 32_768
# Logits that are worked on at a time.
LOGITS = 524_288
# exp of this, summed over any vocabulary or context, is far from overflow.
CALM = 20.0
# A row of exp(logits), or of exp(scores), that sums to less has lost its precision.
TINY = 1e-20


@faster("linear")
def linear(x, weight, bias):
    """One product for all rows of the batch, the bias added in place."""
    rows = as_rows(x)
    y = matmul(rows, weight)
    if bias is not None:
        y += bias

    def pull_bias(g):
        return np.ones(len(rows), g.dtype) @ as_rows(g)

    return (
        y.reshape(*x.shape[:-1], weight.shape[1]),
        lambda g: matmul(as_rows(g), weight.T).reshape(x.shape),
        lambda g: matmul(rows.T, as_rows(g)),
        pull_bias,
    )


@faster("embedding")
def embedding(table, *, ids):
    """Sorts the gradients by id and adds up each run: 4 × quicker than `add.at`."""

    def pullback(g):
        gradient = np.zeros_like(table)
        flat = np.ravel(ids)
        if (flat[1:] > flat[:-1]).all():  # no id comes twice, as of rows that are kept
            gradient[flat] = as_rows(g)
        else:
            order = np.argsort(flat, kind="stable")
            ordered = flat[order]
            begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
            rows = np.take(as_rows(g), order, axis=0)
            gradient[ordered[begins]] = np.add.reduceat(rows, begins, axis=0)
        return gradient

    return np.take(table, ids, axis=0), pullback


@faster("layer_norm")
def layer_norm(x, gain, bias, *, eps=1e-5):
    """Means as matrix-vector products, everything else in place."""
    rows = as_rows(x)
    width = max(rows.shape[1], 1)
    average = np.full(rows.shape[1], 1 / width, rows.dtype)
    unit = rows - (rows @ average)[:, None]
    variance = np.einsum("nd,nd->n", unit, unit) / width
    inverse_sd = (1 / np.sqrt(variance + eps))[:, None]
    unit *= inverse_sd
    y = unit * gain
    if bias is not None:
        y += bias

    def pullback(g):
        g = as_rows(g)
        gx = g * gain
        mean = (gx @ average)[:, None]
        product = gx * unit
        mean_product = (product @ average)[:, None]
        gx -= mean
        gx -= np.multiply(unit, mean_product, out=product)
        gx *= inverse_sd
        ones = np.ones(len(g), g.dtype)
        g_gain = ones @ np.multiply(g, unit, out=product)
        return gx.reshape(x.shape), g_gain, None if bias is None else ones @ g

    return y.reshape(x.shape), joint(pullback)


@faster("gelu")
def gelu(x, *, form="tanh"):
    """Value and slope in one visit to each piece of x, while it is in cache; by erf it
    is the definition's visit, 1.9 × as fast as of the whole. Without a gradient to come
    no slope is computed: 0.7 × of the time."""
    flat = x.reshape(-1)
    y = np.empty_like(flat)
    slope = np.empty_like(flat) if recording.get() else None
    visit = _visit if form == "tanh" else _visit_by_erf
    for begin in range(0, flat.size, CHUNK):
        piece = slice(begin, begin + CHUNK)
        visit(flat[piece], y[piece], None if slope is None else slope[piece])
    if slope is None:
        return y.reshape(x.shape), lambda g: definition_of("gelu")(x, form=form)[1](g)
    slope = slope.reshape(x.shape)
    return y.reshape(x.shape), lambda g: g * slope


def _visit(xs, ys, slopes) -> None:
    """Write GELU of xs into ys, and its slope into `slopes`, if it is wanted.

    (1 + tanh(u)) / 2 is s = 1 / (1 + e), e = exp(−2u): NumPy's exp takes half the time
    of its tanh or less. The slope is s + x·s·(1 − s)·(2u)', and 1 − s is e·s, which
    rounds less.
    """
    c = 2 * math.sqrt(2 / math.pi)  # 2u = c·(x + 0.044715 x³)
    squared = xs * xs
    far = not squared.max() < 100  # from 10 on s is 1 or 0; x³ or exp may overflow
    if far:
        np.minimum(squared, 100, out=squared)
    np.multiply(squared, -c * 0.044715, out=ys)
    ys -= c
    ys *= np.maximum(xs, -10) if far else xs
    np.exp(ys, out=ys)
    s = np.add(ys, 1, out=ys if slopes is None else slopes)
    np.divide(1, s, out=s)
    if far:
        s[xs < -10] = 0
    if slopes is None:
        ys *= xs
        return
    ys *= s
    squared *= 3 * c * 0.044715
    squared += c
    squared *= ys
    squared *= xs
    squared += 1
    np.multiply(xs, s, out=ys)
    slopes *= squared


def _visit_by_erf(xs, ys, slopes) -> None:
    ys[...], pullback = definition_of("gelu")(xs, form="erf")
    if slopes is not None:
        slopes[...] = pullback(1)


@faster("cross_entropy")
def cross_entropy(logits, *, targets, n_targets=None):
    """exp once, for both passes, and no array of zeros and ones: 2.5 × its definition.
    Rows without a target are left out. A step of nano BERT gains 7 %, of micro 1 %."""
    rows, flat = as_rows(logits), np.ravel(targets)
    kept = np.flatnonzero(flat >= 0)
    n = max(kept.size if n_targets is None else n_targets, 1)
    if kept.size < len(rows):
        rows, flat = rows[kept], flat[kept]
    e = rows - rows.max(-1, keepdims=True, initial=-math.inf)
    at_target = np.arange(len(rows)), flat
    picked = e[at_target]
    np.exp(e, out=e)
    total = e @ np.ones(e.shape[1], e.dtype)
    loss = (np.log(total) - picked).sum(dtype=np.float64) / n

    def pullback(g):
        share = g / n
        gx = e * (share / total)[:, None]
        gx[at_target] -= share
        if len(gx) == math.prod(logits.shape[:-1]):
            return gx.reshape(logits.shape)
        g_logits = np.zeros_like(logits, order="C")
        as_rows(g_logits)[kept] = gx
        return g_logits

    return logits.dtype.type(loss), pullback


@faster("linear_cross_entropy")
def linear_cross_entropy(x, weight, *, targets, n_targets=None):
    """Some rows at a time, forward and backward at once while their logits are in
    cache: the logits never lie in memory whole. Rows without a target are left out.

    A row of the logits' gradient is (e − total·one_hot) / (total·n), e = exp(logits):
    what is divided is not the row but the vectors it is multiplied with.
    """
    rows, flat = as_rows(x), np.ravel(targets)
    kept = np.flatnonzero(flat >= 0)
    n = max(kept.size if n_targets is None else n_targets, 1)
    gx = np.zeros_like(rows) if kept.size < len(rows) else np.empty_like(rows)
    gw = np.zeros_like(weight)
    ones = np.ones(len(weight), rows.dtype)
    columns = np.ascontiguousarray(weight.T)
    loss = 0.0
    step = max(1, LOGITS // max(1, len(weight)))
    for begin in range(0, kept.size, step):
        chosen = kept[begin : begin + step]
        if chosen[-1] - chosen[0] == len(chosen) - 1:  # no gap: a view will do
            chosen = slice(chosen[0], chosen[-1] + 1)
        xs, ts = rows[chosen], flat[chosen]
        logits = matmul(xs, columns)
        at_target = (np.arange(len(xs)), ts)
        # Large ones are shifted, by one number; a target far below it, and so perhaps
        # its whole row, asks for each row's own maximum.
        largest = logits.max()
        if not largest <= CALM:
            logits -= largest
        if logits[at_target].min() < math.log(TINY):
            logits -= logits.max(-1, keepdims=True)
        picked = logits[at_target]
        e = np.exp(logits, out=logits)
        total = e @ ones
        loss += float((np.log(total) - picked).sum(dtype=np.float64))
        e[at_target] -= total
        scale = (1 / (total * n))[:, None]
        gx[chosen] = matmul(e, weight) * scale
        gw += matmul(e.T, xs * scale)
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
