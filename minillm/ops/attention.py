"""Scaled dot-product attention (Vaswani et al. 2017, eq. 1), and its masks.

What a CPU runs in its place is in `backend/cpu_attention.py`.
"""

import math

from minillm.backend import joint, xp
from minillm.backend.arrays import (
    merge_heads,
    repeat_heads,
    split_heads,
    sum_over_groups,
)
from minillm.ops import checks
from minillm.ops.neural import softmax
from minillm.tensor import op


def attention_weights(q, k, bias=None, *, causal: bool = False, mask=None):
    """softmax(q kᵀ / √d + bias) along the keys: the weight of each key for a query.
    Returns it with its pullback, which gives the gradients of q, k and bias.

    q (..., H, T, d), k (..., H, S, d) -> (..., H, T, S), or without the axis of heads;
    k may have fewer heads, G, a divisor of H: each is then shared by H/G heads of
    queries, one after another (grouped queries, Ainslie et al. 2023).

    `bias` may want a gradient: a learned one for each distance between query and key,
    or ALiBi. Its shape broadcasts to (..., T, S).

    `causal` lets query i see the keys up to i only (the last query lines up with the
    last key). `mask` is added to the scores, or, where boolean, says which keys a query
    may see; its shape broadcasts to (..., T, S). It gets no gradient. The weights of a
    query that may see nothing are zeros, and give no gradient.
    """
    scale = 1 / math.sqrt(max(q.shape[-1], 1))
    keys = repeat_heads(k, q)
    scores = (q @ keys.swapaxes(-1, -2)) * scale
    if bias is not None:
        scores = scores + bias
    if causal:
        scores = xp.where(causal_mask(*scores.shape[-2:]), scores, -math.inf)
    if mask is not None and mask.dtype == bool:
        scores = xp.where(mask, scores, -math.inf)
    elif mask is not None:
        scores = scores + mask.astype(scores.dtype)
    weights, pull_scores = softmax.rule(scores)

    def pullback(g):
        g_scores = pull_scores(g)  # that of the bias too
        gs = g_scores * scale  # of q kᵀ
        return gs @ keys, sum_over_groups(gs.swapaxes(-1, -2) @ q, k), g_scores

    return weights, pullback


def causal_mask(n_queries: int, n_keys: int):
    """True where a query may look: at its own position and before it.   (T, S)"""
    query = xp.arange(n_queries)[:, None] + (n_keys - n_queries)
    return xp.arange(n_keys)[None, :] <= query


@op(check=checks.queries_fit_keys)
def attention(
    q,
    k,
    v,
    bias=None,
    *,
    causal: bool = False,
    mask=None,
    rate: float = 0.0,
    key: int = 0,
    first_row: int = 0,
):
    """softmax(q kᵀ / √d + bias) v: for each query a mean of the values.

    q (..., T, d), k (..., S, d), v (..., S, e) -> (..., T, e)

    `bias`, `causal`, `mask`, and how heads share keys and values, are those of
    `attention_weights`. A query that may see nothing gets zeros. `rate`, `key` and
    `first_row` drop weights as `dropout` does.
    """
    weights, pull_weights = attention_weights(q, k, bias, causal=causal, mask=mask)
    kept, pull_kept = weights, None
    if rate:
        from minillm.ops.noise import dropout  # opened where it is asked for

        kept, pull_kept = dropout.rule(weights, rate=rate, key=key, first_row=first_row)

    values = repeat_heads(v, q)

    def pullback(g):
        gw = g @ values.swapaxes(-1, -2)
        gq, gk, g_bias = pull_weights(pull_kept(gw) if rate else gw)
        gv = sum_over_groups(kept.swapaxes(-1, -2) @ g, v)
        return (gq, gk, gv) if bias is None else (gq, gk, gv, g_bias)

    return kept @ values, joint(pullback)


@op(check=checks.heads_fit)
def self_attention(
    qkv,
    bias=None,
    *,
    n_heads: int,
    n_kv_heads: int | None = None,
    causal: bool = False,
    mask=None,
    rate: float = 0.0,
    key: int = 0,
    first_row: int = 0,
):
    """Attention of a sequence to itself in several heads at once.

    qkv (B, T, 3D) holds queries, keys and values side by side -> (B, T, D). Head h has
    columns h·D/H to (h+1)·D/H of each. `bias` and `mask` broadcast to (B, H, T, T).
    With fewer heads of keys and of values, G = `n_kv_heads`, qkv is (B, T, D + 2G·D/H).
    """
    q, k, v = split_heads(qkv, n_heads, *2 * [n_kv_heads or n_heads])
    settings = {"mask": mask, "rate": rate, "key": key, "first_row": first_row}
    y, pull = attention.rule(q, k, v, bias, causal=causal, **settings)

    def pullback(g):
        (gy,) = split_heads(g, n_heads)
        gq, gk, gv, *g_bias = pull(gy)
        parts = [merge_heads(part) for part in (gq, gk, gv)]
        return xp.concatenate(parts, -1), *g_bias

    return merge_heads(y), joint(pullback)
