"""Count parameters and FLOPs of a model of which there is no configuration."""

import contextlib
from collections.abc import Iterator

from minillm import backend
from minillm.nn import Embedding, Module

# The op's multiply-adds, from its arrays and its value.
PRODUCTS = {
    "matmul": lambda y, a, b: y.size * a.shape[-1],
    "linear": lambda y, x, weight, bias: y.size * x.shape[-1],
    "linear_cross_entropy": lambda y, x, weight: x.size * weight.shape[0],
    "attention": lambda y, q, k, v: (
        (q.size + y.size) * k.shape[-2]  # q kᵀ, and the weighted sum of values
    ),
    "self_attention": lambda y, qkv: 2 * y.size * qkv.shape[1],
    "cross_attention": lambda y, q, kv: 2 * y.size * kv.shape[1],
    "lstm": lambda y, x, weight, bias, recurrent, *_: (
        4 * y.size * (x.shape[-1] + recurrent.shape[0])  # four gates
    ),
}
UNCOUNTED = ("einsum",)  # has as many products as its letters say


class Flops:
    """FLOPs of a forward pass, of matrix products only, as in `count.py`."""

    def __init__(self):
        self.forward = 0.0
        self.uncounted = None  # the name of an op that nobody can count

    def of_training(self, n_tokens: int) -> int | None:
        """For each token: forward, and twice as much backward."""
        return None if self.uncounted else round(3 * self.forward / n_tokens)


@contextlib.contextmanager
def counted_flops() -> Iterator[Flops]:
    """Counts what is computed in the block. A multiply-add counts two; under a causal
    mask, attention counts half."""
    found = Flops()

    def observer(name, body):
        if name in UNCOUNTED or not _of_the_house(name):
            found.uncounted = name
        count = PRODUCTS.get(name)
        if count is None:
            return body

        def run(*arrays, **settings):
            answer = body(*arrays, **settings)
            half = 0.5 if settings.get("causal") else 1.0
            found.forward += 2 * half * count(answer[0], *arrays)
            return answer

        return run

    with backend.observed(observer):
        yield found


def _of_the_house(name: str) -> bool:
    module = backend.definition_of(name).__module__ or ""  # None in an exec
    return module.startswith("minillm.")


def own_parameters(model: Module) -> dict:
    """The number of parameters, in the parts of `count.parameters`: `embedding` is the
    tables of all `Embedding` layers."""
    tables = [m.weight for m in model.modules() if isinstance(m, Embedding)]
    known = {id(table) for table in tables}
    total = embedding = matrices = 0
    for p in model.parameters():
        total += p.size
        if id(p) in known:
            embedding += p.size
        elif p.ndim >= 2:
            matrices += p.size
    return {
        "total": total,
        "embedding": embedding,
        "non_embedding": total - embedding,
        "matrices_and_head": matrices,
    }
