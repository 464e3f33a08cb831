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

    The weights are computed from the queries and keys of the op by the function of its
    definition; a faster body does not store them. Decoding with a cache calls another
    op and is not collected.
    """
    found = []

    def observer(name, body):
        if name not in QUERIES_AND_KEYS:
            return body

        def run(*arrays, n_heads, **settings):
            queries_and_keys, n = QUERIES_AND_KEYS[name]
            q, k = queries_and_keys(*arrays[:n], n_heads)
            causal, mask = settings.get("causal", False), settings.get("mask")
            bias = dict(enumerate(arrays)).get(n)
            weights, _ = attention_weights(q, k, bias, causal=causal, mask=mask)
            found.append(Attention(name, backend.to_numpy(weights), causal))
            return body(*arrays, n_heads=n_heads, **settings)

        return run

    with backend.observed(observer):
        yield found


def _of_one(qkv, n_heads: int):
    q, k, _ = split_heads(qkv, 3, n_heads)
    return q, k


def _of_two(q, kv, n_heads: int):
    (queries,) = split_heads(q, 1, n_heads)
    k, _ = split_heads(kv, 2, n_heads)
    return queries, k


# And the number of arrays before the bias.
QUERIES_AND_KEYS = {"self_attention": (_of_one, 1), "cross_attention": (_of_two, 2)}
