"""Attention weights, computed beside the ops while a model runs."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from minillm import backend
from minillm.backend.arrays import split_heads
from minillm.ops.attention import attention_weights


@dataclass(frozen=True, eq=False)
class Attention:
    """One call of the op `self_attention` or `cross_attention`: `weights` (B, H, T, S),
    on the host, are those of the keys for each query."""

    op: str
    weights: np.ndarray
    causal: bool


@contextlib.contextmanager
def watched() -> Iterator[list[Attention]]:
    """Collects every attention in the block, in the order of the calls.

    The weights are computed from the arguments of the op, as its definition does; a
    faster body does not store them. Decoding with a cache calls another
    op and is not collected.
    """
    found = []

    def observer(name, body):
        if name not in WEIGHTS:
            return body

        def run(*arrays, **settings):
            weights = backend.to_numpy(WEIGHTS[name](*arrays, **settings))
            found.append(Attention(name, weights, settings.get("causal", False)))
            return body(*arrays, **settings)

        return run

    with backend.observed(observer):
        yield found


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


WEIGHTS = {"self_attention": weights_of_self, "cross_attention": weights_of_cross}
