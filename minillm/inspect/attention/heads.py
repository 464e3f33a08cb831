"""Attention heads in a few numbers: their distance, and their weight on some tokens.

Clark et al. 2019 (sections 3.1 and 3.2) find heads that put most of their weight on the
previous token, on the next, or on a special one at an end of the text. A previous-token
head is also where an induction circuit begins (Olsson et al. 2022).
"""

from collections.abc import Sequence

import numpy as np

from minillm.inspect.attention.maps import CROSS, AttentionMap

MOST = 0.5  # of the weight, as where Clark et al. speak of such a head


def readings(found: AttentionMap) -> list[dict]:
    """A row for each head: {"head", "distance", "first", "previous", …, "mostly"}.

    `distance` is the mean distance in tokens between a query and the keys, by weight.
    The others are the weight, of 1 in all, on the first and the last of the keys, on
    the query's own token, the previous and the next. A causal map has no `next` and
    `last`; among the keys of another text a query has no place, and only `first` and
    `last` mean something. `mostly` names the token with more than half of the weight,
    if there is one.

    All are means over the queries, without those that have no such token and, in a
    causal map, without the first query, which can only look at itself. None where no
    query is left.
    """
    rows = []
    for head, weights in zip(found.heads, found.weights, strict=True):
        measures = _measure(found, weights)
        on_tokens = {
            k: v for k, v in measures.items() if k != "distance" and v is not None
        }
        largest = max(on_tokens, key=on_tokens.get, default=None)
        mostly = largest if largest and on_tokens[largest] > MOST else None
        rows.append({"head": head, **measures, "mostly": mostly})
    return rows


def even_reading(found: AttentionMap) -> dict:
    """The same measures of a head with equal weights, for comparison."""
    seen = np.ones(found.weights.shape[1:])
    seen = np.tril(seen) if found.causal else seen
    return _measure(found, seen / seen.sum(-1, keepdims=True))


def most_decided(maps: Sequence[AttentionMap]) -> tuple[int, int]:
    """The layer and head whose largest weights are largest, on the average."""
    decided = [
        (weights.max(-1).mean(), (each.layer, head))
        for each in maps
        for head, weights in zip(each.heads, each.weights, strict=True)
    ]
    return max(decided)[1]


def _measure(found: AttentionMap, weights: np.ndarray) -> dict[str, float | None]:
    """The measures of one head.   weights (T, S)"""
    query, key = np.indices(weights.shape)
    offset = key - query
    first, last = key == 0, key == weights.shape[1] - 1
    if found.part == CROSS:
        amounts = {"first": first, "last": last}
    else:
        amounts = {"distance": abs(offset), "first": first}
        amounts |= {"previous": offset == -1, "itself": offset == 0}
        if not found.causal:
            amounts |= {"next": offset == 1, "last": last}
    measures = {}
    for name, amount in amounts.items():
        counts = np.ones(len(weights), bool) if name == "distance" else amount.any(-1)
        counts[: int(found.causal)] = False
        sums = (weights * amount).sum(-1)[counts]
        measures[name] = float(sums.mean()) if len(sums) else None
    return measures
