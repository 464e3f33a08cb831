"""CUDA's bodies check themselves on the user's own card: chips, drivers and libraries
differ, and a kernel that is wrong on one of them says nothing.

Before a body runs for the first time in a process, it computes a small awkward case:
lengths that fill no warp, an id that comes twice, rows that are masked throughout. Its
definition computes the same on the host in float64. A body that disagrees or fails is
left out with one note, and its definition runs.
"""

import functools
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minillm.backend import registry, switch
from minillm.backend.base import Backend
from minillm.backend.pullbacks import joint

TOLERANCE = 1e-4  # of the largest number in a result, in float32
SLOW = 0.5  # seconds, from which on it is told where they went
_HOST = Backend()


@dataclass(frozen=True)
class Verdict:
    """What was found about a body on a device: how far it is off, relative to the
    largest number of a result, and what is wrong with it, if anything is. `off` is None
    where it failed, and for a body without a case, which is trusted."""

    name: str
    off: float | None
    problem: str | None
    seconds: float

    @property
    def note(self) -> str:
        return (
            f"the CUDA body of {self.name} is left out on this device, its definition "
            f"runs: {self.problem}"
        )


def begin(device: Backend) -> None:
    """From now on, the bodies for this kind of device are checked on this one."""

    def judge(rule: Callable, body: Callable) -> Callable:
        verdict = examine(device, rule, body)
        if verdict.problem is None:
            return body
        _tell(device, verdict)
        return rule

    registry.judge_with(judge)


def examine_all(device: Backend) -> list[Verdict]:
    """Every body for such a device whose definition is known by now."""
    pairs = registry.pairs(device.kind)
    return [examine(device, rule, body) for rule, body in pairs]


def notes(device: Backend) -> list[str]:
    """In words: which bodies are left out, and where some seconds went."""
    if device.kind == "cpu":
        return []
    begun = time.perf_counter()
    found = [verdict for verdict in examine_all(device) if verdict.problem]
    seconds = time.perf_counter() - begun
    _told.update((device, verdict) for verdict in found)
    slow = (
        f"{device.name}: kernels compiled and checked in {seconds:.1f} s, which they "
        f"take the first time only"
    )
    return [verdict.note for verdict in found] + ([slow] if seconds > SLOW else [])


_told = set()


def _tell(device: Backend, verdict: Verdict) -> None:
    if (device, verdict) not in _told:
        _told.add((device, verdict))
        warnings.warn(verdict.note, stacklevel=2)


@functools.cache  # once a process and device
def examine(device: Backend, rule: Callable, body: Callable) -> Verdict:
    """Let a body compute its case, and compare it with its definition."""
    begun = time.perf_counter()
    off = problem = None
    name = rule.__name__
    if name in CASES:
        arrays, settings = CASES[name]
        try:
            off = _difference(device, rule, body, arrays, settings)
            if not off <= TOLERANCE:
                problem = f"it is off by {off:.1e} of its largest number"
        except Exception as error:  # whatever a kernel, a driver or a library says
            told = " ".join(str(error).split())[:120]
            problem = f"{type(error).__name__}: {told}"
    return Verdict(name, off, problem, time.perf_counter() - begun)


def _difference(device, rule, body, arrays, settings) -> float:
    expected = _results(_HOST, rule, arrays, settings, np.float64)
    found = _results(device, body, arrays, settings, np.float32)
    worst = 0.0
    for a, b in zip(found, expected, strict=True):
        if a.shape != b.shape:
            raise ValueError(f"a result of shape {a.shape} instead of {b.shape}")
        largest = max(np.abs(b).max(initial=0), 1e-3)
        off = float(np.abs(a - b).max(initial=0) / largest)
        worst = max(worst, off if math.isfinite(off) else math.inf)
    return worst


def _results(device, function, arrays, settings, dtype) -> list[np.ndarray]:
    """Value and gradients, and the arrays that went in: some are changed in place, and
    all others must not be."""

    def moved(x):
        if not isinstance(x, np.ndarray):
            return x
        return device.xp.array(device.asarray(x.astype(dtype) if x.dtype == F else x))

    with switch.running(device), np.errstate(all="ignore"):
        given = [moved(x) for x in arrays]
        # Ids stay on the host, as a model gives them.
        settings = {k: x if k == "ids" else moved(x) for k, x in settings.items()}
        answer = function(*given, **settings)
        answer = answer if isinstance(answer, tuple) else (answer,)
        value, *pullbacks = answer
        results = [x for x in given if x is not None]
        if value is not None:
            results.append(value)
        if pullbacks:
            g = moved(np.cos(np.arange(math.prod(value.shape)), dtype=F))
            g = g.reshape(value.shape)
            answers = [pull(g) for pull in pullbacks]
            if isinstance(pullbacks[0], joint) and isinstance(
                answers[0], (tuple, list)
            ):
                answers = list(answers[0])
            # What was not given, such as a bias of scores, may get a gradient or none.
            results += answers[: len(given)]
        host = [device.to_numpy(x) for x in results if x is not None]
    return [np.asarray(x, np.float64) for x in host]


# ------------------------------------------------------------------------- the cases

F = np.dtype(np.float32)


def _normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape).astype(F)


def _keys(batch: int, n: int) -> np.ndarray:
    """A mask of keys: some may be looked at, in the last sequence none."""
    mask = np.arange(n) % 5 > np.arange(batch)[:, None]
    mask[-1] = False
    return mask[:, None, None, :]


_IDS = np.array([[3, 0, 3], [6, 3, 0]], np.int32)
_TARGETS = np.array([2, -1, 40, 0, -1], np.int32)
_ADAM = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.1}
_STEP = {"lr": 0.1, "weight_decay": 0.1, "scale": 0.5}
# By the name of an op or kernel: its arrays, its settings.
CASES = {
    "linear": ([_normal(2, 5, 7), _normal(7, 33), _normal(33)], {}),
    "matmul": ([_normal(2, 5, 7), _normal(2, 7, 3)], {}),
    "embedding": ([_normal(7, 33)], {"ids": _IDS}),
    "layer_norm": ([3 + _normal(2, 3, 37), _normal(37), _normal(37)], {"eps": 1e-5}),
    "rms_norm": ([3 + _normal(2, 3, 37), _normal(37)], {"eps": 1e-5}),
    "gelu": ([4 * _normal(3, 37)], {}),
    "silu": ([4 * _normal(3, 37)], {}),
    "swiglu": ([4 * _normal(3, 37), _normal(3, 37)], {}),
    "rotary": (
        [_normal(2, 5, 3, 8)],
        {"cos": _normal(5, 1, 4), "sin": _normal(2, 5, 1, 4), "n_turned": 2},
    ),
    "softmax": ([20 * _normal(3, 37)], {}),
    "log_softmax": ([20 * _normal(3, 37)], {}),
    "dropout": ([_normal(3, 37)], {"rate": 0.3, "key": 2**40 + 5, "first_row": 2**30}),
    "attention": ([_normal(2, 3, 37, 32)] * 3, {"causal": True, "mask": _keys(2, 37)}),
    "self_attention": (
        [_normal(2, 37, 96)],
        {"n_heads": 4, "n_kv_heads": 1, "causal": True},
    ),
    "cross_attention": (
        [_normal(2, 5, 64), _normal(2, 37, 128)],
        {"n_heads": 2, "mask": _keys(2, 37)},
    ),
    "cross_entropy": ([20 * _normal(5, 41)], {"targets": _TARGETS, "n_targets": 7}),
    "linear_cross_entropy": (
        [_normal(5, 7), _normal(41, 7)],
        {"targets": _TARGETS, "n_targets": 7},
    ),
    "adamw": (
        [_normal(37), _normal(37, 1)[:, 0], 0.1 * _normal(37), abs(_normal(37))],
        {**_ADAM, "step": 3, "scale": 0.5},
    ),
    "sgd": ([_normal(37), _normal(37, 1)[:, 0]], _STEP),
    "sgd_momentum": (
        [_normal(37), _normal(37, 1)[:, 0], _normal(37, 2)[:, 0]],
        {**_STEP, "momentum": 0.9, "nesterov": True},
    ),
    "squared_norm": ([_normal(1037)], {}),
    "checked_scale": (
        [np.array(2, F), np.array(9, F), np.array(1, F), np.zeros(2, F)],
        {"clip": 0.5},
    ),
}
