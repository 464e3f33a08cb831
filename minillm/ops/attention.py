"""Scaled dot-product attention (Vaswani et al. 2017, eq. 1), and its masks."""

import math

import numpy as np

from minillm.backend import joint, xp
from minillm.backend.arrays import merge_heads, split_heads
from minillm.ops import checks
from minillm.ops.neural import dropout, softmax
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
    keys = _repeat_heads(k, q)
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
        g_bias = pull_scores(g)
        gs = g_bias * scale
        return gs @ keys, _sum_over_groups(gs.swapaxes(-1, -2) @ q, k), g_bias

    return weights, pullback


def causal_mask(n_queries: int, n_keys: int):
    """True where a query may look: at its own position and before it.   (T, S)"""
    query = xp.arange(n_queries)[:, None] + (n_keys - n_queries)
    return xp.arange(n_keys)[None, :] <= query


def _repeat_heads(x, q):
    """Each head of keys or values as often as heads of queries share it.

    x (..., G, S, d), q (..., H, T, d) -> (..., H, S, d); x itself where none is shared
    """
    n = _heads_a_group(q, x)
    return x if n == 1 else xp.repeat(x, n, -3)


def _sum_over_groups(g, x):
    """The gradient of x from that of `_repeat_heads`: summed over each group."""
    n = _heads_a_group(g, x)
    if n == 1:
        return g
    *leading, heads, length, width = g.shape
    return g.reshape(*leading, heads // n, n, length, width).sum(-3)


def _heads_a_group(q, k) -> int:
    """How many heads of queries share one of keys: H/G, 1 where there is no such
    axis."""
    if min(q.ndim, k.ndim) < 3 or not k.shape[-3]:
        return 1
    share, rest = divmod(q.shape[-3], k.shape[-3])
    return share if share and not rest else 1


# What fits, before an op runs (`checks.py`). The ops themselves: from `attention` on.


def _queries_fit_keys(
    q, k, v, bias=None, *, causal=False, mask=None, rate=0.0, key=0, first_row=0
) -> None:
    if min(q.ndim, k.ndim, v.ndim) < 2:
        wrong = "each needs two axes or more"
    elif q.shape[-1] != k.shape[-1]:
        wrong = "queries and keys differ in width"
    elif k.shape[-2] != v.shape[-2]:
        wrong = "keys and values differ in number"
    elif _heads_a_group(q, k) == 1 and len({*q.shape[-3:-2], *k.shape[-3:-2], 1}) > 2:
        wrong = "the heads of queries are no multiple of those of keys"
    else:
        checks.rate_is_a_fraction(q, rate=rate, key=key)
        of_keys = k.shape[: -2 if _heads_a_group(q, k) == 1 else -3]
        axes = (1,) * (k.ndim - len(of_keys))
        _bias_fits(bias, (*q.shape[:-1], k.shape[-2]), (*of_keys, *axes))
        return _mask_fits(mask)
    raise ValueError(f"attention of q {q.shape}, k {k.shape}, v {v.shape}: {wrong}")


def _heads_fit(qkv, bias=None, *, n_heads, n_kv_heads=None, mask=None, **others):
    _groups_fit("self_attention", n_heads, n_kv_heads)
    if qkv.ndim != 3 or qkv.shape[-1] % (n_heads + 2 * (n_kv_heads or n_heads)):
        needed = "(B, T, 3D) is needed, D"
        if n_kv_heads not in (None, n_heads):
            needed = f"with {n_kv_heads} of keys and of values (B, T, D + 2Gd), D"
        raise ValueError(
            f"self_attention of shape {qkv.shape}: {needed} a multiple of {n_heads} "
            f"heads"
        )
    checks.rate_is_a_fraction(qkv, rate=others.get("rate", 0.0), key=0)
    _bias_fits(bias, (len(qkv), n_heads, qkv.shape[1], qkv.shape[1]))
    _mask_fits(mask)


def _kv_fits(q, kv, bias=None, *, n_heads, n_kv_heads=None, mask=None, **others):
    _groups_fit("cross_attention", n_heads, n_kv_heads)
    width = q.shape[-1]
    of_keys = width // n_heads * (n_kv_heads or n_heads)
    shape_of_kv = (*q.shape[:1], *kv.shape[1:2], 2 * of_keys)
    if q.ndim != 3 or kv.shape != shape_of_kv or width % n_heads:
        needed = "2D" if n_kv_heads in (None, n_heads) else f"{2 * of_keys}"
        raise ValueError(
            f"cross_attention of shapes {q.shape} and {kv.shape}: (B, T, D) and "
            f"(B, S, {needed}) are needed, D a multiple of {n_heads} heads"
        )
    checks.rate_is_a_fraction(q, rate=others.get("rate", 0.0), key=0)
    _bias_fits(bias, (len(q), n_heads, q.shape[1], kv.shape[1]))
    _mask_fits(mask)


def _groups_fit(name: str, n_heads, n_kv_heads) -> None:
    if n_heads % (n_kv_heads or n_heads):
        raise ValueError(
            f"{name}: {n_heads} heads cannot share {n_kv_heads} of keys and values"
        )


def _bias_fits(bias, *shapes: tuple) -> None:
    """The scores have the shape to which these broadcast, and keep it."""
    if bias is None:
        return
    if not hasattr(bias, "shape"):
        raise TypeError(
            f"a bias of {bias!r:.60}: an array is needed, one number a score"
        )
    try:
        scores = np.broadcast_shapes(*shapes)
        if np.broadcast_shapes(bias.shape, scores) == scores:
            return
    except ValueError:
        pass
    raise ValueError(f"a bias of shape {bias.shape} for scores of shape {shapes[0]}")


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
        kept, pull_kept = dropout.rule(weights, rate=rate, key=key, first_row=first_row)

    values = _repeat_heads(v, q)

    def pullback(g):
        gw = g @ values.swapaxes(-1, -2)
        gq, gk, g_bias = pull_weights(pull_kept(gw) if rate else gw)
        gv = _sum_over_groups(kept.swapaxes(-1, -2) @ g, v)
        return (gq, gk, gv) if bias is None else (gq, gk, gv, g_bias)

    return kept @ values, joint(pullback)


@op(check=_heads_fit)
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


@op(check=_kv_fits)
def cross_attention(
    q,
    kv,
    bias=None,
    *,
    n_heads: int,
    n_kv_heads: int | None = None,
    mask=None,
    rate: float = 0.0,
    key: int = 0,
    first_row: int = 0,
):
    """Attention of one sequence to another in several heads at once.

    q (B, T, D) and kv (B, S, 2D), which holds the other's keys and values side by side
    -> (B, T, D). Heads as in `self_attention`. `bias` and `mask` broadcast to
    (B, H, T, S).
    """
    (queries,) = split_heads(q, n_heads)
    k, v = split_heads(kv, *2 * [n_kv_heads or n_heads])
    settings = {"mask": mask, "rate": rate, "key": key, "first_row": first_row}
    y, pull = attention.rule(queries, k, v, bias, **settings)

    def pullback(g):
        (gy,) = split_heads(g, n_heads)
        gq, gk, gv, *g_bias = pull(gy)
        gkv = xp.concatenate([merge_heads(gk), merge_heads(gv)], -1)
        return merge_heads(gq), gkv, *g_bias

    return merge_heads(y), joint(pullback)


def weights_of_self(
    qkv,
    bias=None,
    *,
    n_heads: int,
    n_kv_heads: int | None = None,
    causal: bool = False,
    mask=None,
    **_dropping,
):
    """The weights in `self_attention` of these arguments, before any is dropped.
    (B, H, T, T)"""
    q, k, _ = split_heads(qkv, n_heads, *2 * [n_kv_heads or n_heads])
    return attention_weights(q, k, bias, causal=causal, mask=mask)[0]


def weights_of_cross(
    q,
    kv,
    bias=None,
    *,
    n_heads: int,
    n_kv_heads: int | None = None,
    mask=None,
    **_dropping,
):
    """The weights in `cross_attention` of these arguments, before any is dropped.
    (B, H, T, S)"""
    (queries,) = split_heads(q, n_heads)
    k, _ = split_heads(kv, *2 * [n_kv_heads or n_heads])
    return attention_weights(queries, k, bias, mask=mask)[0]
