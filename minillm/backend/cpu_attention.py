"""NumPy's faster bodies of attention: a few sequences at a time, half the scores.

Three ideas, each an old one:

- The scores of all sequences and heads are far larger than a core's cache. Taken a few
  sequences at a time, every pass over them but the first finds them there.
- Under a causal mask the upper half of the scores is not wanted. Queries are taken in
  blocks, each against the keys up to its end: of n blocks, (n + 1) / 2n of the work.
- Weights are never divided by their sum. Dividing what they are multiplied with, one
  vector a query instead of one number a score, gives the same (Dao et al. 2022).
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

from minillm.backend.arrays import split_heads
from minillm.backend.cpu import CALM, TINY
from minillm.backend.pullbacks import joint
from minillm.backend.registry import definition_of, faster, recording

# Scores that are worked on at a time: with their gradients they fill a second-level
# cache of a megabyte.
ROOM = 131_072
# Queries in a block: shorter ones save little more, and products become slow.
BLOCK = 64


def without_more(n_arrays: int):
    """A body for calls without a bias and without dropout of weights, both of which are
    rare: they run as they are defined, with all scores at once."""

    def of(body):
        @functools.wraps(body)
        def run(*arrays, rate=0.0, key=0, first_row=0, **settings):
            if rate or any(bias is not None for bias in arrays[n_arrays:]):
                settings |= {"rate": rate, "key": key, "first_row": first_row}
                return definition_of(body.__name__)(*arrays, **settings)
            arrays = arrays[:n_arrays]
            value, pullback = body(*arrays, **settings)
            if not recording.get():  # nothing was kept for it

                def pullback(g):
                    definition = definition_of(body.__name__)
                    return definition(*arrays, **settings)[1](g)

                return value, joint(pullback)
            return value, pullback if isinstance(pullback, joint) else joint(pullback)

        return run

    return of


@faster("attention")
@without_more(3)
def attention(q, k, v, *, causal=False, mask=None):
    """See `_attend`."""
    lone = q.ndim == 2  # `_attend` takes the first axis for the sequences
    if lone:
        q, k, v = q[None], k[None], v[None]
    y = np.empty((*q.shape[:-1], v.shape[-1]), q.dtype)
    done = _attend(q, k, v, causal, mask, y)
    if done is None:
        q, k, v = (q[0], k[0], v[0]) if lone else (q, k, v)
        return definition_of("attention")(q, k, v, causal=causal, mask=mask)

    def pullback(g):
        out = np.empty_like(q), np.empty_like(k), np.empty_like(v)
        _gradients(done, g[None] if lone else g, *out)
        return tuple(each[0] for each in out) if lone else out

    return y[0] if lone else y, joint(pullback)


@faster("self_attention")
@without_more(1)
def self_attention(qkv, *, n_heads, n_kv_heads=None, causal=False, mask=None):
    """See `_attend`. Heads are views of the packed array: nothing is copied apart or
    together, forward or backward."""
    (batch, length, width), of_keys = qkv.shape, n_kv_heads or n_heads
    parts = n_heads, of_keys, of_keys
    q, k, v = split_heads(qkv, *parts)
    y = np.empty((batch, length, width // sum(parts) * n_heads), qkv.dtype)
    done = _attend(q, k, v, causal, mask, split_heads(y, n_heads)[0])
    if done is None:
        settings = {"n_heads": n_heads, "n_kv_heads": n_kv_heads, "causal": causal}
        return definition_of("self_attention")(qkv, **settings, mask=mask)

    def pullback(g):
        packed = np.empty_like(qkv)
        (g_heads,) = split_heads(g, n_heads)
        _gradients(done, g_heads, *split_heads(packed, *parts))
        return packed

    return y, pullback


@faster("cross_attention")
@without_more(2)
def cross_attention(q, kv, *, n_heads, n_kv_heads=None, mask=None):
    """See `_attend`, and `self_attention` for the heads."""
    y = np.empty_like(q, order="C")
    of_keys = 2 * [n_kv_heads or n_heads]
    (queries,), (k, v) = split_heads(q, n_heads), split_heads(kv, *of_keys)
    done = _attend(queries, k, v, False, mask, split_heads(y, n_heads)[0])
    if done is None:
        settings = {"n_heads": n_heads, "n_kv_heads": n_kv_heads, "mask": mask}
        return definition_of("cross_attention")(q, kv, **settings)

    def pullback(g):
        gq, gkv = np.empty_like(q, order="C"), np.empty_like(kv, order="C")
        (g_heads,) = split_heads(g, n_heads)
        heads = *split_heads(gq, n_heads), *split_heads(gkv, *of_keys)
        _gradients(done, g_heads, *heads)
        return gq, gkv

    return y, joint(pullback)


@dataclass
class Attended:
    """What the backward pass needs of the forward one."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    y: np.ndarray
    totals: np.ndarray  # (..., T): the sum of each row's exp(scores)
    pieces: list[slice]  # of the sequences
    blocks: list[tuple[slice, slice]]  # (queries, the keys they may see)
    exps: list[list[np.ndarray]]  # exp(scores) of each piece's blocks
    share: int  # heads of queries to one of keys; they have an axis of their own then


def _attend(q, k, v, causal, mask, y) -> Attended | None:
    """Write softmax(q kᵀ/√d) v into y.

    Softmax is the same whatever is subtracted from a row: nothing, where no score is
    large, else one number for all rows, which takes a tenth of the time of a maximum
    for each. Where a row's sum then vanishes, the answer is None, and the definition,
    which takes each row's own maximum, is run. A row that may see nothing, as one of
    padding on the left, has a sum of zeros and stays zeros.
    """
    n_queries, n_keys = q.shape[-2], k.shape[-2]
    if k.shape[:-2] != v.shape[:-2] or (causal and n_keys < n_queries):
        return None
    if mask is not None:
        mask = np.broadcast_to(mask, (*q.shape[:-1], n_keys))
    share = 1
    if q.shape[:-2] != k.shape[:-2]:
        share = _heads_a_group(q, k)
        if share is None:
            return None
        q, y = _in_groups(q, share), _in_groups(y, share)
        k, v = k[..., None, :, :], v[..., None, :, :]
        mask = None if mask is None else _in_groups(mask, share)
    scale = 1 / math.sqrt(max(q.shape[-1], 1))
    some = max(1, ROOM // max(1, math.prod(q.shape[1:-1]) * n_keys))
    pieces = [slice(i, i + some) for i in range(0, len(q), some)]
    blocks = _blocks(n_queries, n_keys, causal)
    ones = np.ones(n_keys, q.dtype)
    totals = np.empty(q.shape[:-1], q.dtype)
    exps = []
    for piece in pieces:
        exps.append([])
        qs, vs = q[piece], v[piece]
        k_columns = k[piece].swapaxes(-1, -2)
        if n_queries < 8:  # decoding: a copy of the keys would not pay
            qs = qs * scale
        else:  # transposed in memory, since BLAS is quicker on it
            k_columns = np.multiply(k_columns, scale, order="C")
        for queries, seen in blocks:
            scores = qs[..., queries, :] @ k_columns[..., seen]
            part = None if mask is None else mask[piece][..., queries, seen]
            e = _exp_scores(scores, causal, part)
            total = e @ ones[seen]
            if not total.min(initial=math.inf) > TINY:  # catches NaN too
                if part is not None and part.dtype == bool:
                    total[_sees_nothing(part, causal)] = 1
                if not total.min() > TINY:
                    return None
            totals[piece][..., queries] = total
            summed = e @ vs[..., seen, :]
            np.divide(summed, total[..., None], out=y[piece][..., queries, :])
            if recording.get():  # else the next scores lie where these did: 0.9 ×
                exps[-1].append(e)
    return Attended(q, k, v, y, totals, pieces, blocks, exps, share)


def _heads_a_group(q, k) -> int | None:
    """How many heads of queries share one of keys. None where they do not."""
    if q.ndim != k.ndim or q.ndim < 4 or q.shape[:-3] != k.shape[:-3]:
        return None
    share, rest = divmod(q.shape[-3], max(k.shape[-3], 1))
    return None if rest else share


def _in_groups(x, share: int):
    """A view, whose heads are in groups: (..., H, T, d) -> (..., G, share, T, d)."""
    return x.reshape(*x.shape[:-3], -1, share, *x.shape[-2:])


def _exp_scores(scores, causal, mask):
    """exp(scores) up to a common factor, in place; 0 where a query may not look."""
    if mask is not None and mask.dtype != bool:
        scores += mask
    largest = scores.max(initial=np.finfo(scores.dtype).min)
    if not largest <= CALM:
        scores -= largest
    e = np.exp(scores, out=scores)
    # Masked after exp: the sum then runs over what may be seen only.
    if causal:
        _hide_future(e)
    if mask is not None and mask.dtype == bool:
        e *= mask
    return e


def _gradients(done: Attended, g, gq, gk, gv) -> None:
    """Write the gradients of q, k and v; g is that of y."""
    q, k, v, n_keys = done.q, done.k, done.v, done.k.shape[-2]
    rows = _same
    if done.share > 1:
        g, gq = _in_groups(g, done.share), _in_groups(gq, done.share)
        gk, gv = gk[..., None, :, :], gv[..., None, :, :]
        rows = _one_below_the_other
    for piece, exps in zip(done.pieces, done.exps, strict=True):
        qs, ks = q[piece], k[piece]
        v_columns = np.ascontiguousarray(v[piece].swapaxes(-1, -2))
        gn = g[piece] / done.totals[piece][..., None]
        # Σ_j gw_ij·w_ij = g_i·y_i: a sum over the head's width, not over all keys
        weighted_mean = np.einsum("...te,...te->...t", gn, done.y[piece])[..., None]
        # From the last block on, since it sees all keys: it writes, others add.
        for (queries, seen), e in zip(
            reversed(done.blocks), reversed(exps), strict=True
        ):
            gs = gn[..., queries, :] @ v_columns[..., seen]
            gs -= weighted_mean[..., queries, :]
            gs *= e
            np.matmul(gs, ks[..., seen, :], out=gq[piece][..., queries, :])
            gs_rows, e_rows = rows(gs).swapaxes(-1, -2), rows(e).swapaxes(-1, -2)
            q_rows, gn_rows = rows(qs[..., queries, :]), rows(gn[..., queries, :])
            if seen.stop == n_keys:
                np.matmul(gs_rows, q_rows, out=gk[piece])
                np.matmul(e_rows, gn_rows, out=gv[piece])
            else:
                gk[piece][..., seen, :] += gs_rows @ q_rows
                gv[piece][..., seen, :] += e_rows @ gn_rows
    scale = 1 / math.sqrt(max(q.shape[-1], 1))
    gq *= scale
    gk *= scale


def _same(x):
    return x


def _one_below_the_other(x):
    """The rows of a group's heads: (..., share, T, n) -> (..., 1, share·T, n). What is
    summed over all of them, the gradients of keys and values, is one product then."""
    *leading, share, length, width = x.shape
    return x.reshape(*leading, 1, share * length, width)


def _blocks(n_queries, n_keys, causal):
    """[(queries, the keys they may see)], as slices."""
    if not causal:
        return [(slice(0, n_queries), slice(0, n_keys))]
    n = max(1, n_queries // BLOCK)
    ends = [(i + 1) * n_queries // n for i in range(n)]
    earlier = n_keys - n_queries  # keys before the first query
    return [
        (slice(begin, end), slice(0, earlier + end))
        for begin, end in zip([0, *ends], ends, strict=False)
    ]


def _sees_nothing(mask, causal):
    """Where all of a query's keys are masked.   (..., T, S) -> (..., T)"""
    seen = mask.astype(np.float32)
    if causal:
        _hide_future(seen)
    return ~seen.any(-1)


def _hide_future(e):
    """Zero where a key comes after the query. The last query sees the last key."""
    n = e.shape[-2]
    if n > 1:
        e[..., -n:] *= np.tri(n, dtype=e.dtype)
