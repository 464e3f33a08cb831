"""CUDA's faster bodies of attention: the kernels of `kernels.cu` for heads of up to 64
numbers and masks of keys, batched products for the rest. Heads are views of the packed
arrays: nothing is copied apart or together, forward or backward.
"""

import math
from collections.abc import Callable

from minillm.backend.arrays import split_heads
from minillm.backend.cpu_attention import without_more
from minillm.backend.cuda_bodies import cdiv, contiguous, fits
from minillm.backend.cuda_kernels import launch, lies_in_rows
from minillm.backend.cuda_products import matmul
from minillm.backend.pullbacks import joint
from minillm.backend.registry import definition_of, faster
from minillm.backend.switch import xp

# As in kernels.cu: a block has ROWS queries, or keys; above 32 numbers a head, two
# threads share the work of each.
ROWS = 64
WIDEST = 64
BLOCKS = 65_535  # at most, along the second and the third axis of a launch


@faster("attention", "cuda")
@without_more(3)
def attention(q, k, v, *, causal=False, mask=None):
    """See `attend`."""
    alike = k.shape[:-2] == v.shape[:-2] and share_heads(q, k)
    if not alike or not fits(q, k, v) or (mask is not None and q.ndim != 4):
        return definition_of("attention")(q, k, v, causal=causal, mask=mask)
    q, k, v = (x if lies_in_rows(x) else x.copy() for x in (q, k, v))
    y = xp.empty((*q.shape[:-1], v.shape[-1]), q.dtype)
    pull = attend(*map(in_heads, (q, k, v, y)), causal, mask)

    def pullback(g):
        out = [xp.empty(x.shape, x.dtype) for x in (q, k, v)]
        pull(in_heads(contiguous(g)), *map(in_heads, out))
        return tuple(out)

    return y, joint(pullback)


@faster("self_attention", "cuda")
@without_more(1)
def self_attention(qkv, *, n_heads, n_kv_heads=None, causal=False, mask=None):
    """See `attend`."""
    parts = n_heads, *2 * [n_kv_heads or n_heads]
    if not fits(qkv):
        settings = {"n_heads": n_heads, "n_kv_heads": n_kv_heads, "causal": causal}
        return definition_of("self_attention")(qkv, **settings, mask=mask)
    qkv = contiguous(qkv)
    width = qkv.shape[-1] // sum(parts) * n_heads
    y = xp.empty((*qkv.shape[:-1], width), qkv.dtype)
    (y_heads,) = split_heads(y, n_heads)
    pull = attend(*split_heads(qkv, *parts), y_heads, causal, mask)

    def pullback(g):
        packed = xp.empty_like(qkv)
        (g_heads,) = split_heads(contiguous(g), n_heads)
        pull(g_heads, *split_heads(packed, *parts))
        return packed

    return y, pullback


@faster("cross_attention", "cuda")
@without_more(2)
def cross_attention(q, kv, *, n_heads, n_kv_heads=None, mask=None):
    """See `attend`."""
    of_keys = 2 * [n_kv_heads or n_heads]

    def heads(q, kv):
        return *split_heads(q, n_heads), *split_heads(kv, *of_keys)

    if not fits(q, kv):
        settings = {"n_heads": n_heads, "n_kv_heads": n_kv_heads, "mask": mask}
        return definition_of("cross_attention")(q, kv, **settings)
    q, kv = contiguous(q), contiguous(kv)
    y = xp.empty_like(q)
    pull = attend(*heads(q, kv), split_heads(y, n_heads)[0], False, mask)

    def pullback(g):
        gq, gkv = xp.empty_like(q), xp.empty_like(kv)
        pull(split_heads(contiguous(g), n_heads)[0], *heads(gq, gkv))
        return gq, gkv

    return y, joint(pullback)


def in_heads(x):
    """(..., T, d) -> (batch, heads, T, d), a view."""
    shape = x.shape if x.ndim > 3 else (*x.shape[:-2], 1, *x.shape[-2:])
    return x.reshape(math.prod(shape[:-3]), *shape[-3:])


def attend(q, k, v, y, causal: bool, mask) -> Callable:
    """Write softmax(q kᵀ / √d) v into y. Returns a function that takes y's gradient and
    writes those of q, k and v: pull(g, gq, gk, gv).

    q, y (B, H, T, d), k, v (B, G, S, d): views whose rows lie in one piece. With fewer
    heads of keys than of queries, H / G neighbouring heads look at the same keys.
    """
    if kernels_can(q, k, v, mask):
        keys = mask_of_keys(mask, len(q), k.shape[2])
        return by_kernels(q, k, v, y, causal, keys)
    return by_products(q, k, v, y, causal, mask)


def share_heads(q, k) -> bool:
    """Whether each head of queries has one of keys, or H / G of them share one."""
    if q.shape[:-2] == k.shape[:-2]:
        return True
    grouped = q.ndim == k.ndim == 4 and len(q) == len(k)
    return grouped and q.shape[1] % k.shape[1] == 0


def kernels_can(q, k, v, mask) -> bool:
    narrow = q.shape[-1] == v.shape[-1] <= WIDEST and has_lanes(q.shape[-1])
    few = max(q.shape[:2]) <= BLOCKS
    keys = mask_of_keys(mask, len(q), k.shape[2])
    return narrow and few and (mask is None or keys is not None)


def has_lanes(width: int) -> bool:
    return width <= 32 or width % 2 == 0


def mask_of_keys(mask, batch: int, n_keys: int):
    """A mask that is the same for every head and query, as (B, S); None for others."""
    if mask is None or mask.dtype != bool or max((1, 1, *mask.shape)[-3:-1]) > 1:
        return None
    rows = mask.reshape(mask.shape[0] if mask.ndim == 4 else 1, mask.shape[-1])
    return contiguous(xp.broadcast_to(rows, (batch, n_keys)))


def by_kernels(q, k, v, y, causal, key_mask) -> Callable:
    """By online softmax: scores never lie in memory."""
    batch, n_heads, n_queries, width = q.shape
    n_kv_heads, n_keys = k.shape[1:3]
    threads = ROWS * (1 if width <= 32 else 2)
    of_queries = (cdiv(n_queries, ROWS), n_heads, batch)
    of_keys = (cdiv(n_keys, ROWS), n_kv_heads, batch)
    scale = 1 / math.sqrt(width)
    shape = (n_queries, n_keys, n_heads // n_kv_heads, int(causal), scale)
    log_totals = xp.empty((batch, n_heads, n_queries), q.dtype)

    def run(kernel, blocks, *arguments):
        launch(kernel, blocks, threads, *arguments, key_mask, *shape, HEAD=width)

    run("attention", of_queries, q, k, v, y, log_totals)

    def pull(g, gq, gk, gv):
        alongs = xp.empty_like(log_totals)
        arguments = (g, q, k, v, y, gq, log_totals, alongs)
        run("attention_backward_queries", of_queries, *arguments)
        arguments = (g, q, k, v, gk, gv, log_totals, alongs)
        run("attention_backward_keys", of_keys, *arguments)

    return pull


def by_products(q, k, v, y, causal, mask) -> Callable:
    """As it is defined, with products that take views and write into views: for each
    head of keys those of the H / G heads of queries that share it."""
    batch, n_heads, n_queries, width = q.shape
    scale = 1 / math.sqrt(width)
    of_groups = (batch, k.shape[1], n_heads // k.shape[1])  # (B, G, H / G)
    q, y = (in_groups(x, of_groups) for x in (q, y))
    # Nothing is copied: each head of keys is seen H / G times.
    k, v = (xp.broadcast_to(x[:, :, None], (*of_groups, *x.shape[2:])) for x in (k, v))
    scores = (matmul(q, transposed(k)) * scale).reshape(batch, n_heads, n_queries, -1)
    if causal:
        n_keys = scores.shape[-1]
        query = xp.arange(n_queries)[:, None] + (n_keys - n_queries)
        scores = xp.where(xp.arange(n_keys)[None, :] <= query, scores, -math.inf)
    if mask is not None and mask.dtype == bool:
        scores = xp.where(mask, scores, -math.inf)
    elif mask is not None:
        scores += mask.astype(scores.dtype)
    weights, pull_scores = definition_of("softmax")(in_groups(scores, of_groups))
    matmul(weights, v, out=y)

    def pull(g, gq, gk, gv):
        g = in_groups(g, of_groups)
        gs = pull_scores(matmul(g, transposed(v))) * scale
        matmul(gs, k, out=in_groups(gq, of_groups))
        sum_of_groups(transposed(gs), q, gk)
        sum_of_groups(transposed(weights), g, gv)

    return pull


def in_groups(x, of_groups: tuple):
    """(B, H, ...) -> (B, G, H / G, ...), a view."""
    return x.reshape(*of_groups, *x.shape[2:])


def sum_of_groups(a, b, out) -> None:
    """out = the products a @ b added up over each group: (B, G, H / G, S, T),
    (B, G, H / G, T, d) -> (B, G, S, d)"""
    if a.shape[2] == 1:
        matmul(a[:, :, 0], b[:, :, 0], out=out)
    else:
        out[...] = matmul(a, b).sum(2)


def transposed(x):
    return x.swapaxes(-1, -2)
