"""Attention weights, computed beside the ops while a model runs."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from minillm import backend
from minillm.ops.attention import weights_of_cross, weights_of_self


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


WEIGHTS = {"self_attention": weights_of_self, "cross_attention": weights_of_cross}
