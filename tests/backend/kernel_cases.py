"""The cases on which the kernels of a GPU are checked, whatever runs them, beside the
rows of the gradient table: inputs beyond a warp, a tile and a block, and kernels that
no op calls yet, for which a rule written here stands in the place of a definition.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from minillm import backend, ops
from minillm.backend import cuda_attention, cuda_bodies, cuda_fused, definition_of
from minillm.backend.pullbacks import adding
from minillm.ops import IGNORED

for _name in ops.__all__:
    getattr(ops, _name)  # some files are opened late


@dataclass(frozen=True)
class Case:
    """A body, the definition that it must equal, and what both are given."""

    name: str
    body: Callable
    definition: Callable
    arrays: list
    settings: dict = field(default_factory=dict)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([*shape, seed]).standard_normal(shape)


def ids(high: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(shape).integers(0, high, shape, dtype=np.int32)


def some(*shape: int) -> np.ndarray:
    """Booleans, some of them False."""
    return np.random.default_rng(shape).random(shape) < 0.7


BODIES = {
    "linear": cuda_bodies.linear,
    "layer_norm": cuda_bodies.layer_norm,
    "rms_norm": cuda_bodies.rms_norm,
    "embedding": cuda_bodies.embedding,
    "dropout": cuda_bodies.dropout,
    "cross_entropy": cuda_bodies.cross_entropy,
    "linear_cross_entropy": cuda_bodies.linear_cross_entropy,
    "attention": cuda_attention.attention,
    "self_attention": cuda_attention.self_attention,
    "cross_attention": cuda_attention.cross_attention,
    "gelu": cuda_fused.gelu,
    "silu": cuda_fused.silu,
    "swiglu": cuda_fused.swiglu,
    "rotary": cuda_fused.rotary,
}


def of_op(name: str, *arrays, **settings) -> Case:
    return Case(name, BODIES[name], definition_of(name), list(arrays), settings)


def large() -> list[Case]:
    found = [*norms(), *lookups(), *losses(), *packed_attentions(), *groups()]
    return [*found, *(case for width in WIDTHS for case in attentions(width))]


def norms() -> list[Case]:
    found = [of_op("linear", normal(3, 50, 40), normal(40, 90), normal(90))]
    for n, width in ((151, 70), (3, 33), (1, 1), (2, 1600)):
        x, gain, bias = 3 + normal(n, width), normal(width), normal(width, seed=1)
        for with_bias in (bias, None):
            found.append(of_op("layer_norm", x, gain, with_bias, eps=1e-3))
        found.append(of_op("rms_norm", x, gain, eps=1e-3))
    return found


def lookups() -> list[Case]:
    settings = {"rate": 0.3, "key": 2**40 + 5, "first_row": 2**30}
    runs = np.repeat([3, 0, 69], [1, 2 * cuda_bodies.RUN + 1, cuda_bodies.RUN])
    return [
        of_op("embedding", normal(70, 30), ids=ids(70, 30, 4)),
        of_op("embedding", normal(70, 300), ids=runs),
        of_op("embedding", normal(1, 1), ids=ids(1, 7)),
        of_op("dropout", normal(3, 5, 40), **settings),
        of_op("dropout", normal(1, 1), **settings),
    ]


def losses() -> list[Case]:
    found = []
    for n, vocab_size in ((9, 300), (2, 1), (40, 33), (3, 1000)):
        targets = np.where(some(n), ids(vocab_size, n), IGNORED).astype(np.int32)
        targets[0], targets[-1] = 0, vocab_size - 1
        for n_targets, scale in ((None, 1), (7, 30)):
            settings = {"targets": targets, "n_targets": n_targets}
            logits = scale * normal(n, vocab_size)
            found.append(of_op("cross_entropy", logits, **settings))
    targets = np.where(some(60), ids(130, 60), IGNORED).astype(np.int32)
    arrays = normal(60, 40), normal(130, 40)
    found.append(of_op("linear_cross_entropy", *arrays, targets=targets))
    return found


# One thread a row, and two; the last is too wide for the kernels.
WIDTHS = (16, 20, 32, 34, 64, 66)


def attentions(width: int) -> list[Case]:
    """Lengths beyond tiles and blocks, more queries than keys and fewer, queries that
    see nothing, scores that differ widely."""
    q, k, v = (normal(2, 1, 70, width, seed=i) for i in range(3))
    padding = some(2, 1, 1, 70)
    padding[1] = False
    return [
        of_op("attention", q, k, v, causal=True),
        of_op("attention", q[:, :, :9], k, v, causal=True, mask=padding[:1]),
        of_op("attention", 20 * q[:, :, :9], k, v, mask=padding),
        of_op("attention", q, k[:, :, :37], v[:, :, :37], causal=True),
        of_op("attention", q[:, :, :5], k, v),
    ]


def packed_attentions() -> list[Case]:
    q, k, v = (normal(70, 32, seed=i) for i in range(3))
    packed, one, other = normal(2, 66, 96), normal(2, 40, 64), normal(2, 66, 128)
    padding, pairs = some(2, 1, 1, 66), some(2, 1, 66, 66)
    return [
        of_op("attention", q, k, v, causal=True),
        of_op("self_attention", packed, n_heads=2, causal=True),
        of_op("self_attention", packed, n_heads=1, mask=padding),
        of_op("self_attention", packed, n_heads=2, mask=pairs),
        of_op("cross_attention", one, other, n_heads=4, mask=padding),
    ]


def groups() -> list[Case]:
    """Four heads of queries, two of keys and values, or one."""
    found = []
    for width in (16, 34, 66):  # the last without a kernel
        q = normal(2, 4, 66, width)
        k, v = (normal(2, 2, 66, width, seed=i) for i in (1, 2))
        found.append(of_op("attention", q, k, v, causal=True))
    packed, one, other = normal(2, 66, 96), normal(2, 40, 64), normal(2, 66, 64)
    padding, pairs = some(2, 1, 1, 66), some(2, 4, 66, 66)
    heads = {"n_heads": 4, "n_kv_heads": 1}
    found.append(of_op("self_attention", packed, **heads, causal=True, mask=padding))
    found.append(of_op("self_attention", packed, **heads, mask=pairs))  # no kernel
    added = np.where(pairs, normal(2, 1, 1, 66), -math.inf).astype(np.float32)
    heads = {"n_heads": 4, "n_kv_heads": 2}
    found.append(of_op("cross_attention", one, other, **heads, mask=added[:, :, :40]))
    found.append(of_op("self_attention", packed[..., :64], **heads, mask=added))
    return [*found, of_op("cross_attention", one, other, **heads, mask=padding)]


def expected(case: Case) -> list[np.ndarray]:
    """Value and gradients by the definition, on the host in float64."""
    arrays = [None if x is None else np.asarray(x, np.float64) for x in case.arrays]
    value, *pullbacks = case.definition(*arrays, **case.settings)
    gradients = gradients_of(arrays, pullbacks, gradient_of(value))
    return [value, *gradients, *gradients]


def found(case: Case) -> list[np.ndarray]:
    """By the body, on the device in charge in float32: the gradients as new arrays, and
    added to what is there, where the body can do that."""
    device = backend.current()
    arrays = [
        None if x is None else device.asarray(np.asarray(x, np.float32))
        for x in case.arrays
    ]
    settings = {
        name: device.asarray(x) if isinstance(x, np.ndarray) else x
        for name, x in case.settings.items()
    }
    value, *pullbacks = case.body(*arrays, **settings)
    g = device.asarray(gradient_of(value).astype(np.float32))
    places = [
        None if x is None else device.xp.ones(x.shape, np.float32) for x in arrays
    ]
    results = gradients_of(arrays, pullbacks, g)
    added = results
    if any(map(can_add, pullbacks)):
        added = gradients_of(arrays, pullbacks, g, places)
    return [backend.to_numpy(x) for x in (value, *results, *added)]


def can_add(pullback) -> bool:
    return adding in (type(pullback), type(getattr(pullback, "pullback", None)))


def gradients_of(arrays, pullbacks, g, places=None) -> list:
    """Those of all arrays that are there. What was added to a place is what the place,
    which was 1 before, has gained."""
    places = places or [None] * len(arrays)
    answers = []
    for i, pull in enumerate(pullbacks):
        theirs = places if len(pullbacks) == 1 else places[i : i + 1]
        answer = pull(g, *theirs) if can_add(pull) else pull(g)
        answers += answer if isinstance(answer, (tuple, list)) else [answer]
    return [
        place - 1 if answer is None else answer
        for x, answer, place in zip(arrays, answers, places, strict=True)
        if x is not None
    ]


def gradient_of(value) -> np.ndarray:
    """Some gradient with respect to a value of this shape."""
    n = math.prod(value.shape)
    return np.cos(np.arange(n)).reshape(value.shape)


def problem(case: Case, wanted: list, results: list, tolerance: float) -> str | None:
    """How the body's results differ from the definition's; None where they do not."""
    for i, (a, b) in enumerate(zip(results, wanted, strict=True)):
        part = f"result {i}" if i else "value"
        what = f"{case.name} {list(case.settings)}: {part}"
        if a.shape != b.shape or a.dtype != np.float32:
            return f"{what} is {a.dtype} of shape {a.shape}, not {b.shape}"
        largest = max(1e-3, np.abs(b).max(initial=0))
        with np.errstate(all="ignore"):  # memory that nobody wrote may hold anything
            off = np.abs(a - b).max(initial=0) / largest
        if not off <= tolerance:
            return f"{what} is off by {off:.1e} of its largest number"
    return None
