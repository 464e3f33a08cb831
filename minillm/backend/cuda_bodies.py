"""CUDA's faster bodies around the kernels of `kernels.cu`: normalisation, lookups,
dropout, cross-entropy. Beside them `cuda_attention.py`, and `cuda_fused.py` for
formulas that need no kernel of their own.

Kernels compute in float32. Whatever else comes along (float64 in a gradient check,
arrays of nothing) runs as it is defined.
"""

import math

import numpy as np

from minillm.backend import switch
from minillm.backend.arrays import SINGLE, as_rows
from minillm.backend.cuda_kernels import launch
from minillm.backend.cuda_products import matmul, sum_of_rows
from minillm.backend.pullbacks import adding, joint
from minillm.backend.registry import definition_of, faster
from minillm.backend.switch import xp

WARP = 32  # threads
WARPS = 4  # of a block that does a row a warp
# Shared memory of a block, in bytes, that every GPU has.
SHARED = 48 * 1024
# At most as many sums over rows are added up afterwards.
SHARES = 512
# Logits that are worked on at a time: 64 MiB.
LOGITS = 2**24
# Rows that one block adds up; a token that is frequent has several blocks.
RUN = 64


def fits(*arrays) -> bool:
    """Whether kernels can do it: float32 throughout, and some of it."""
    return all(x is None or (x.dtype == SINGLE and x.size) for x in arrays)


def contiguous(x):
    """The array itself where its numbers lie one after the other, else a copy."""
    return x if x.flags.c_contiguous else x.copy()


def cdiv(n: int, d: int) -> int:
    """n / d, rounded up."""
    return -(-n // d)


@faster("linear", "cuda")
def linear(x, weight, bias):
    """Products of rows, on views."""
    rows = as_rows(x)
    y = matmul(rows, weight)
    if bias is not None:
        y += bias

    def pull_weight(g, place=None):
        product = matmul(rows.T, as_rows(g), out=place, add=place is not None)
        return product if place is None else None

    def pull_bias(g, place=None):
        sums = sum_of_rows(as_rows(g), place)
        return sums if place is None else None

    return (
        y.reshape(*x.shape[:-1], weight.shape[1]),
        lambda g: matmul(as_rows(g), weight.T).reshape(x.shape),
        adding(pull_weight),
        adding(pull_bias),
    )


@faster("layer_norm", "cuda")
def layer_norm(x, gain, bias, *, eps=1e-5):
    """One kernel forward, two backward."""
    if not fits(x, gain, bias) or 8 * x.shape[-1] > SHARED:
        return definition_of("layer_norm")(x, gain, bias, eps=eps)
    x = contiguous(x)
    n, width = x.size // x.shape[-1], x.shape[-1]
    y, means, inverse_sds = xp.empty_like(x), xp.empty(n, SINGLE), xp.empty(n, SINGLE)
    launch(
        "layer_norm",
        cdiv(n, WARPS),
        WARP * WARPS,
        *(x, gain, bias, y, means, inverse_sds, n, width, eps),
    )

    def pullback(g, _=None, of_gain=None, of_bias=None):
        kept = (x, gain, means, inverse_sds)
        places = (bias is not None, of_gain, of_bias)
        return norm_backward("layer_norm_backward", g, kept, *places)

    return y, joint(adding(pullback))


@faster("rms_norm", "cuda")
def rms_norm(x, gain, *, eps=1e-5):
    """As `layer_norm`, with no mean to take off."""
    if not fits(x, gain) or 8 * x.shape[-1] > SHARED:
        return definition_of("rms_norm")(x, gain, eps=eps)
    x = contiguous(x)
    n, width = x.size // x.shape[-1], x.shape[-1]
    y, inverse_rms = xp.empty_like(x), xp.empty(n, SINGLE)
    blocks = cdiv(n, WARPS)
    launch("rms_norm", blocks, WARP * WARPS, x, gain, y, inverse_rms, n, width, eps)

    def pullback(g, _=None, of_gain=None):
        kept = (x, gain, inverse_rms)
        return norm_backward("rms_norm_backward", g, kept, False, of_gain, None)[:2]

    return y, joint(adding(pullback))


def norm_backward(kernel: str, g, kept: tuple, has_bias: bool, of_gain, of_bias):
    """The gradients of x, gain and bias, or of x alone where the others were added to
    `of_gain` and `of_bias`."""
    g, x = contiguous(g), kept[0]
    n, width = x.size // x.shape[-1], x.shape[-1]
    # Each warp has two rows of sums in shared memory.
    warps = max(1, min(WARPS, SHARED // (8 * width)))
    rows = max(WARPS, cdiv(n, SHARES))  # of a block
    blocks = cdiv(n, rows)
    gx, shares = xp.empty_like(x), xp.empty((blocks, 2, width), SINGLE)
    arguments = (g, *kept, gx, shares, n, width, rows)
    launch(kernel, blocks, WARP * warps, *arguments, shared=8 * width * warps)
    add = of_gain is not None and (of_bias is not None or not has_bias)
    if not add:
        of_gain = xp.empty(width, SINGLE)
        of_bias = xp.empty(width, SINGLE) if has_bias else None
    arguments = (shares, of_gain, of_bias, blocks, width, add)
    launch("add_shares", cdiv(2 * width, WARP), 8 * WARP, *arguments)
    return (gx, None, None) if add else (gx, of_gain, of_bias)


@faster("embedding", "cuda")
def embedding(table, *, ids):
    """The gradient by runs of sorted ids, where the definition's `add.at` adds up in
    another order each time. Ids are sorted on the host: who has them there hands them
    over as they are, and nobody has to wait for the device."""
    on_device = xp.asarray(ids)
    if not fits(table) or not on_device.size:
        return definition_of("embedding")(table, ids=on_device)

    def pullback(g, place=None):
        gradient = xp.zeros(table.shape, SINGLE) if place is None else place
        add_by_runs(gradient, g, switch.to_numpy(ids))
        return gradient if place is None else None

    return table[on_device], adding(pullback)


def add_by_runs(gradient, g, ids: np.ndarray) -> None:
    """What `add.at` does: row i of g is added to row ids[i] of the gradient.

    gradient (V, D), g (..., D), ids (...) on the host
    """
    shape = gradient.shape
    flat = np.ravel(ids) % shape[0]  # as a GPU does, where an id is out of range
    # Of 16 bits NumPy sorts ten times as fast as of 32.
    short = np.uint16 if shape[0] <= 2**16 else np.int32
    order = np.argsort(flat.astype(short), kind="stable")
    ordered = flat[order]
    begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    pieces, of_pieces = cut(np.append(begins, flat.size), RUN)
    lengths = [order.size, len(pieces), len(of_pieces), len(begins)]
    parts = (order, pieces, of_pieces, ordered[begins])
    moved = xp.asarray(np.concatenate(parts).astype(np.int32))  # all of it at once
    order, pieces, of_pieces, rows = xp.split(moved, np.cumsum(lengths[:-1]).tolist())
    width = shape[1]
    threads = min(256, cdiv(width, WARP) * WARP)
    sums = xp.empty((len(pieces) - 1, width), SINGLE)
    arguments = (contiguous(g), order, pieces, None, sums, width, False)
    launch("add_runs", len(pieces) - 1, threads, *arguments)
    arguments = (sums, None, of_pieces, rows, gradient, width, True)
    launch("add_runs", len(rows), threads, *arguments)


def cut(begins: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut runs into pieces: where each piece begins, and which piece each run begins
    with. As in `begins`, the last number is the end."""
    n_pieces = -(-np.diff(begins) // longest)
    of_pieces = np.append(0, np.cumsum(n_pieces))
    within = np.arange(of_pieces[-1]) - np.repeat(of_pieces[:-1], n_pieces)
    pieces = np.repeat(begins[:-1], n_pieces) + longest * within
    return np.append(pieces, begins[-1]), of_pieces


@faster("dropout", "cuda")
def dropout(x, *, rate, key, first_row=0):
    """One kernel for the hash, the comparison and the product; no mask is kept."""
    if not fits(x) or x.size >= 2**31:
        return definition_of("dropout")(x, rate=rate, key=key, first_row=first_row)
    first = first_row * math.prod(x.shape[1:])
    # In 32 bits, as the definition counts.
    hashed = (part & 0xFFFFFFFF for part in (first, key * 0x9E3779B9))
    settings = (x.size, *hashed, int(rate * 2**32), 1 / (1 - rate))

    def run(x):
        x = contiguous(x)
        y = xp.empty_like(x)
        launch("dropout", cdiv(x.size, 256), 256, x, y, *settings)
        return y

    return run(x), run


@faster("cross_entropy", "cuda")
def cross_entropy(logits, *, targets, n_targets=None):
    """One kernel a row: the gradient is made at once, in place of a copy."""
    if not fits(logits):
        definition = definition_of("cross_entropy")
        return definition(logits, targets=targets, n_targets=n_targets)
    targets = xp.asarray(targets).reshape(-1).astype(np.int32)
    gradient = as_rows(logits).copy()
    losses = xp.empty(len(gradient), SINGLE)
    kept = number_of_targets(targets, n_targets)
    cross_entropy_of_rows(gradient, targets, kept, losses)
    gradient = gradient.reshape(logits.shape)
    return losses.sum() / kept[0], lambda g: gradient * g


@faster("linear_cross_entropy", "cuda")
def linear_cross_entropy(x, weight, *, targets, n_targets=None):
    """Some rows at a time, forward and backward at once: the logits never lie in memory
    whole."""
    if not fits(x, weight):
        definition = definition_of("linear_cross_entropy")
        return definition(x, weight, targets=targets, n_targets=n_targets)
    rows, targets = as_rows(x), xp.asarray(targets).reshape(-1).astype(np.int32)
    kept = number_of_targets(targets, n_targets)
    gx, gw = xp.empty(rows.shape, SINGLE), None
    losses = xp.empty(len(rows), SINGLE)
    step = max(1, LOGITS // len(weight))
    for begin in range(0, len(rows), step):
        piece = slice(begin, begin + step)
        logits = matmul(rows[piece], weight.T)
        cross_entropy_of_rows(logits, targets[piece], kept, losses[piece])
        matmul(logits, weight, out=gx[piece])
        gw = matmul(logits.T, rows[piece], out=gw, add=gw is not None)
    gx = gx.reshape(x.shape)
    return losses.sum() / kept[0], joint(lambda g: (gx * g, gw * g))


def cross_entropy_of_rows(logits, targets, kept, losses) -> None:
    """Turns rows of logits into their gradient, in place; writes their losses."""
    n, vocab_size = logits.shape
    threads = min(256, cdiv(vocab_size, WARP) * WARP)
    launch("cross_entropy", n, threads, logits, targets, kept, losses, vocab_size)


def number_of_targets(targets, n_targets: int | None):
    """On the device, as an array of one number: nobody waits for it."""
    if n_targets is not None:
        return xp.full(1, max(n_targets, 1), SINGLE)
    counted = (targets >= 0).sum().astype(SINGLE)
    return xp.maximum(counted, 1).reshape(1)
