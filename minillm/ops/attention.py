"""Scaled dot-product attention (Vaswani et al. 2017, eq. 1), and its masks."""

import math

from minillm.backend import joint, xp
from minillm.backend.arrays import merge_heads, split_heads
from minillm.ops.neural import softmax
from minillm.tensor import op


def attention_weights(q, k, *, causal: bool = False, mask=None):
    """softmax(q kᵀ / √d) along the keys: the weight of each key for a query.
    Returns it with its pullback, which gives the gradients of q and k.

    q (..., H, T, d), k (..., H, S, d) -> (..., H, T, S), or without the axis of heads;
    k may have fewer heads, G, a divisor of H: each is then shared by H/G heads of
    queries, one after another (grouped queries, Ainslie et al. 2023).

    `causal` lets query i see the keys up to i only (the last query lines up with the
    last key). `mask` is added to the scores, or, where boolean, says which keys a query
    may see; its shape broadcasts to (..., T, S). It gets no gradient: for a learnt bias
    write softmax(scores + bias) @ v in ops. The weights of a query that may see nothing
    are zeros, and give no gradient.
    """
    scale = 1 / math.sqrt(max(q.shape[-1], 1))
    keys = _shared(k, q)
    scores = (q @ keys.swapaxes(-1, -2)) * scale
    if causal:
        scores = xp.where(causal_mask(*scores.shape[-2:]), scores, -math.inf)
    if mask is not None and mask.dtype == bool:
        scores = xp.where(mask, scores, -math.inf)
    elif mask is not None:
        scores = scores + mask.astype(scores.dtype)
    weights, pull_scores = softmax.rule(scores)

    def pullback(g):
        gs = pull_scores(g) * scale
        return gs @ keys, _gathered(gs.swapaxes(-1, -2) @ q, k)

    return weights, pullback


def _shared(x, q):
    """Each head of keys or values as often as heads of queries share it.

    x (..., G, S, d), q (..., H, T, d) -> (..., H, S, d); x itself where none is shared
    """
    n = _heads_a_group(q, x)
    return x if n == 1 else xp.repeat(x, n, -3)


def _gathered(g, x):
    """The gradient of x from that of `_shared`: summed over each group."""
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


# What fits: called with an op's own arguments, before it runs (`checks.py`).


def _queries_fit_keys(q, k, v, *, causal=False, mask=None) -> None:
    if min(q.ndim, k.ndim, v.ndim) < 2:
        wrong = "each needs two axes or more"
    elif q.shape[-1] != k.shape[-1]:
        wrong = "queries and keys differ in width"
    elif k.shape[-2] != v.shape[-2]:
        wrong = "keys and values differ in number"
    elif _heads_a_group(q, k) == 1 and len({*q.shape[-3:-2], *k.shape[-3:-2], 1}) > 2:
        wrong = "the heads of queries are no multiple of those of keys"
    else:
        return _mask_fits(mask)
    raise ValueError(f"attention of q {q.shape}, k {k.shape}, v {v.shape}: {wrong}")


def _heads_fit(qkv, *, n_heads, n_kv_heads=None, causal=False, mask=None) -> None:
    _groups_fit("self_attention", n_heads, n_kv_heads)
    if qkv.ndim != 3 or qkv.shape[-1] % (n_heads + 2 * (n_kv_heads or n_heads)):
        needed = "(B, T, 3D) is needed, D"
        if n_kv_heads not in (None, n_heads):
            needed = f"with {n_kv_heads} of keys and of values (B, T, D + 2Gd), D"
        raise ValueError(
            f"self_attention of shape {qkv.shape}: {needed} a multiple of {n_heads} "
            f"heads"
        )
    _mask_fits(mask)


def _kv_fits(q, kv, *, n_heads, n_kv_heads=None, mask=None) -> None:
    _groups_fit("cross_attention", n_heads, n_kv_heads)
    width = q.shape[-1]
    of_keys = width // n_heads * (n_kv_heads or n_heads)
    shape_of_kv = (*q.shape[:1], *kv.shape[1:2], 2 * of_keys)
    if q.ndim != 3 or kv.shape != shape_of_kv or width % n_heads:
        needed = "2D" if of_keys == width else f"{2 * of_keys}"
        raise ValueError(
            f"cross_attention of shapes {q.shape} and {kv.shape}: (B, T, D) and "
            f"(B, S, {needed}) are needed, D a multiple of {n_heads} heads"
        )
    _mask_fits(mask)


def _groups_fit(name: str, n_heads, n_kv_heads) -> None:
    if n_heads % (n_kv_heads or n_heads):
        raise ValueError(
            f"{name}: {n_heads} heads cannot share {n_kv_heads} of keys and values"
        )


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

    The settings, and how heads share keys and values, are those of `attention_weights`.
    A query that may see nothing gets zeros.
    """
    weights, pull_weights = attention_weights(q, k, causal=causal, mask=mask)

    values = _shared(v, q)

    def pullback(g):
        gq, gk = pull_weights(g @ values.swapaxes(-1, -2))
        return gq, gk, _gathered(weights.swapaxes(-1, -2) @ g, v)

    return weights @ values, joint(pullback)


@op(check=_heads_fit)
def self_attention(
    qkv,
    *,
    n_heads: int,
    n_kv_heads: int | None = None,
    causal: bool = False,
    mask=None,
):
    """Attention of a sequence to itself in several heads at once.

    qkv (B, T, 3D) holds queries, keys and values side by side -> (B, T, D). Head h has
    columns h·D/H to (h+1)·D/H of each. `mask` broadcasts to (B, H, T, T). With fewer
    heads of keys and of values, G = `n_kv_heads`, qkv is (B, T, D + 2G·D/H).
    """
    q, k, v = split_heads(qkv, n_heads, *2 * [n_kv_heads or n_heads])
    y, pull = attention.rule(q, k, v, causal=causal, mask=mask)

    def pullback(g):
        (gy,) = split_heads(g, n_heads)
        return xp.concatenate([merge_heads(part) for part in pull(gy)], -1)

    return merge_heads(y), pullback


@op(check=_kv_fits)
def cross_attention(q, kv, *, n_heads: int, n_kv_heads: int | None = None, mask=None):
    """Attention of one sequence to another in several heads at once.

    q (B, T, D) and kv (B, S, 2D), which holds the other's keys and values side by side
    -> (B, T, D). Heads as in `self_attention`. `mask` broadcasts to (B, H, T, S).
    """
    (queries,) = split_heads(q, n_heads)
    k, v = split_heads(kv, *2 * [n_kv_heads or n_heads])
    y, pull = attention.rule(queries, k, v, mask=mask)

    def pullback(g):
        (gy,) = split_heads(g, n_heads)
        gq, gk, gv = map(merge_heads, pull(gy))
        return gq, xp.concatenate([gk, gv], -1)

    return merge_heads(y), joint(pullback)


def weights_of_self(qkv, *, n_heads: int, n_kv_heads: int | None = None, **settings):
    """The weights in `self_attention` of these arguments.   (B, H, T, T)"""
    q, k, _ = split_heads(qkv, n_heads, *2 * [n_kv_heads or n_heads])
    return attention_weights(q, k, **settings)[0]


def weights_of_cross(q, kv, *, n_heads: int, n_kv_heads: int | None = None, **settings):
    """The weights in `cross_attention` of these arguments.   (B, H, T, S)"""
    (queries,) = split_heads(q, n_heads)
    k, _ = split_heads(kv, *2 * [n_kv_heads or n_heads])
    return attention_weights(queries, k, **settings)[0]


def causal_mask(n_queries: int, n_keys: int):
    """True where a query may look: at its own position and before it.   (T, S)"""
    query = xp.arange(n_queries)[:, None] + (n_keys - n_queries)
    return xp.arange(n_keys)[None, :] <= query
