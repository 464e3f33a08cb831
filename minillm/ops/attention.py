"""Scaled dot-product attention (Vaswani et al. 2017, eq. 1), and its masks."""

import math

from minillm.backend import joint, xp
from minillm.backend.arrays import merge_heads, split_heads
from minillm.ops.neural import softmax
from minillm.tensor import op


def attention_weights(q, k, *, causal: bool = False, mask=None):
    """softmax(q kᵀ / √d) along the keys: the weight of each key for a query.
    Returns it with its pullback, which gives the gradients of q and k.

    q (..., T, d), k (..., S, d) -> (..., T, S)

    `causal` lets query i see the keys up to i only (the last query lines up with the
    last key). `mask` is added to the scores, or, where boolean, says which keys a query
    may see; its shape broadcasts to (..., T, S). It gets no gradient: for a learnt bias
    write softmax(scores + bias) @ v in ops. The weights of a query that may see nothing
    are zeros, and give no gradient.
    """
    scale = 1 / math.sqrt(max(q.shape[-1], 1))
    scores = (q @ k.swapaxes(-1, -2)) * scale
    if causal:
        scores = xp.where(causal_mask(*scores.shape[-2:]), scores, -math.inf)
    if mask is not None and mask.dtype == bool:
        scores = xp.where(mask, scores, -math.inf)
    elif mask is not None:
        scores = scores + mask.astype(scores.dtype)
    weights, pull_scores = softmax.rule(scores)

    def pullback(g):
        gs = pull_scores(g) * scale
        return gs @ k, gs.swapaxes(-1, -2) @ q

    return weights, pullback


# What fits: called with an op's own arguments, before it runs (`checks.py`).


def _queries_fit_keys(q, k, v, *, causal=False, mask=None) -> None:
    if min(q.ndim, k.ndim, v.ndim) < 2:
        wrong = "each needs two axes or more"
    elif q.shape[-1] != k.shape[-1]:
        wrong = "queries and keys differ in width"
    elif k.shape[-2] != v.shape[-2]:
        wrong = "keys and values differ in number"
    else:
        return _mask_fits(mask)
    raise ValueError(f"attention of q {q.shape}, k {k.shape}, v {v.shape}: {wrong}")


def _heads_fit(qkv, *, n_heads, causal=False, mask=None) -> None:
    if qkv.ndim != 3 or qkv.shape[-1] % (3 * n_heads):
        raise ValueError(
            f"self_attention of shape {qkv.shape}: (B, T, 3D) is needed, D a multiple "
            f"of {n_heads} heads"
        )
    _mask_fits(mask)


def _kv_fits(q, kv, *, n_heads, mask=None) -> None:
    width = q.shape[-1]
    shape_of_kv = (*q.shape[:1], *kv.shape[1:2], 2 * width)
    if q.ndim != 3 or kv.shape != shape_of_kv or width % n_heads:
        raise ValueError(
            f"cross_attention of shapes {q.shape} and {kv.shape}: (B, T, D) and "
            f"(B, S, 2D) are needed, D a multiple of {n_heads} heads"
        )
    _mask_fits(mask)


def _mask_fits(mask) -> None:
    if mask is None:
        return
    kind = getattr(mask, "dtype", type(mask))
    if getattr(kind, "kind", "O") not in "bf":
        raise TypeError(
            f"a mask of {kind}: an array is needed, boolean (True: may look) or "
            f"floating-point (added to the scores)"
        )


@op(check=_queries_fit_keys)
def attention(q, k, v, *, causal: bool = False, mask=None):
    """softmax(q kᵀ / √d) v: for each query a mean of the values.

    q (..., T, d), k (..., S, d), v (..., S, e) -> (..., T, e)

    The settings are those of `attention_weights`. A query that may see nothing gets
    zeros.
    """
    weights, pull_weights = attention_weights(q, k, causal=causal, mask=mask)

    def pullback(g):
        gq, gk = pull_weights(g @ v.swapaxes(-1, -2))
        return gq, gk, weights.swapaxes(-1, -2) @ g

    return weights @ v, joint(pullback)


@op(check=_heads_fit)
def self_attention(qkv, *, n_heads: int, causal: bool = False, mask=None):
    """Attention of a sequence to itself in several heads at once.

    qkv (B, T, 3D) holds queries, keys and values side by side -> (B, T, D). Head h has
    columns h·D/H to (h+1)·D/H of each. `mask` broadcasts to (B, H, T, T).
    """
    q, k, v = split_heads(qkv, n_heads, n_heads, n_heads)
    y, pull = attention.rule(q, k, v, causal=causal, mask=mask)

    def pullback(g):
        (gy,) = split_heads(g, n_heads)
        return xp.concatenate([merge_heads(part) for part in pull(gy)], -1)

    return merge_heads(y), pullback


@op(check=_kv_fits)
def cross_attention(q, kv, *, n_heads: int, mask=None):
    """Attention of one sequence to another in several heads at once.

    q (B, T, D) and kv (B, S, 2D), which holds the other's keys and values side by side
    -> (B, T, D). Heads as in `self_attention`. `mask` broadcasts to (B, H, T, S).
    """
    (queries,) = split_heads(q, n_heads)
    k, v = split_heads(kv, n_heads, n_heads)
    y, pull = attention.rule(queries, k, v, mask=mask)

    def pullback(g):
        (gy,) = split_heads(g, n_heads)
        gq, gk, gv = map(merge_heads, pull(gy))
        return gq, xp.concatenate([gk, gv], -1)

    return merge_heads(y), joint(pullback)


def weights_of_self(qkv, *, n_heads: int, **settings):
    """The weights in `self_attention` of these arguments.   (B, H, T, T)"""
    q, k, _ = split_heads(qkv, n_heads, n_heads, n_heads)
    return attention_weights(q, k, **settings)[0]


def weights_of_cross(q, kv, *, n_heads: int, **settings):
    """The weights in `cross_attention` of these arguments.   (B, H, T, S)"""
    (queries,), (k, _) = split_heads(q, n_heads), split_heads(kv, n_heads, n_heads)
    return attention_weights(queries, k, **settings)[0]


def causal_mask(n_queries: int, n_keys: int):
    """True where a query may look: at its own position and before it.   (T, S)"""
    query = xp.arange(n_queries)[:, None] + (n_keys - n_queries)
    return xp.arange(n_keys)[None, :] <= query
