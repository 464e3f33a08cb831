"""The table of ops: one row for each, with the inputs on which to check it.

`minillm gradcheck` runs it, and `tests/ops` crosses it with everything an op promises.
"""

import dataclasses
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from minillm import backend, ops
from minillm.errors import UsageError
from minillm.testing import inputs, more_inputs
from minillm.testing.bodies import check_body
from minillm.testing.choices import (
    ANYWHERE,
    DISTINCT,
    NOT_NEAR_ZERO,
    POSITIVE,
    Choices,
    Domain,
    seeded,
)
from minillm.testing.faults import CheckError
from minillm.testing.gradients import check_gradients


@dataclass(frozen=True)
class Row:
    """An op, how to draw its inputs, the domain of their numbers, and the methods of
    Tensor that call it."""

    op: Callable
    inputs: Callable[[Choices, Domain], tuple[list, dict]]
    domain: Domain = ANYWHERE
    methods: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.op.__name__

    def draw(self, choices: Choices) -> tuple[list, dict]:
        """Inputs of the op: (arrays, settings)."""
        return self.inputs(choices, self.domain)

    def examples(self, n: int) -> list[tuple[list, dict]]:
        """n inputs, always the same."""
        name = zlib.crc32(self.name.encode())
        return [self.draw(seeded(name, i)) for i in range(n)]


_ROWS = [
    Row(ops.add, inputs.pair, methods=("__add__", "__radd__")),
    Row(ops.sub, inputs.pair, methods=("__sub__", "__rsub__")),
    Row(ops.mul, inputs.pair, methods=("__mul__", "__rmul__")),
    Row(ops.div, inputs.pair, NOT_NEAR_ZERO, ("__truediv__", "__rtruediv__")),
    Row(ops.neg, inputs.single, methods=("__neg__",)),
    Row(ops.power, inputs.power, POSITIVE, ("__pow__",)),
    Row(ops.pow, inputs.pair, POSITIVE, ("__rpow__",)),
    Row(ops.exp, inputs.single, methods=("exp",)),
    Row(ops.log, inputs.single, POSITIVE, ("log",)),
    Row(ops.sqrt, inputs.single, POSITIVE, ("sqrt",)),
    Row(ops.tanh, inputs.single, methods=("tanh",)),
    Row(ops.abs, inputs.single, NOT_NEAR_ZERO, ("abs", "__abs__")),
    Row(ops.sin, inputs.single, methods=("sin",)),
    Row(ops.cos, inputs.single, methods=("cos",)),
    Row(ops.log1p, inputs.single, POSITIVE, ("log1p",)),
    Row(ops.maximum, more_inputs.unlike_pair, methods=("maximum",)),
    Row(ops.minimum, more_inputs.unlike_pair, methods=("minimum",)),
    Row(ops.clip, more_inputs.clip, DISTINCT, ("clip",)),
    Row(ops.where, inputs.where),
    Row(ops.matmul, inputs.matmul, methods=("__matmul__", "__rmatmul__")),
    Row(ops.reshape, inputs.reshape, methods=("reshape",)),
    Row(ops.transpose, inputs.transpose, methods=("transpose", "T")),
    Row(ops.getitem, inputs.getitem, methods=("__getitem__",)),
    Row(ops.concatenate, inputs.concatenate),
    Row(ops.stack, more_inputs.stack),
    Row(ops.squeeze, more_inputs.squeeze, methods=("squeeze",)),
    Row(ops.pad, more_inputs.pad, methods=("pad",)),
    Row(ops.broadcast_to, more_inputs.broadcast_to, methods=("broadcast_to",)),
    Row(ops.take_along_axis, more_inputs.take_along_axis, methods=("take_along_axis",)),
    Row(ops.tril, more_inputs.tril, methods=("tril",)),
    Row(ops.einsum, more_inputs.einsum),
    Row(ops.sum, inputs.reduction, methods=("sum",)),
    Row(ops.mean, inputs.reduction, methods=("mean",)),
    Row(ops.max, inputs.reduction, DISTINCT, ("max",)),
    Row(ops.min, inputs.reduction, DISTINCT, ("min",)),
    Row(ops.var, more_inputs.variance, methods=("var",)),
    Row(ops.std, more_inputs.deviation, DISTINCT, ("std",)),
    Row(ops.logsumexp, inputs.reduction, methods=("logsumexp",)),
    Row(ops.cumsum, inputs.along_axis, methods=("cumsum",)),
    Row(ops.linear, inputs.linear),
    Row(ops.embedding, inputs.embedding),
    Row(ops.layer_norm, inputs.layer_norm),
    Row(ops.rms_norm, inputs.rms_norm),
    Row(ops.rotary, inputs.rotary),
    Row(ops.relu, inputs.single, NOT_NEAR_ZERO, ("relu",)),
    Row(ops.sigmoid, inputs.single, methods=("sigmoid",)),
    Row(ops.gelu, inputs.gelu, methods=("gelu",)),
    Row(ops.silu, inputs.single, methods=("silu",)),
    Row(ops.swiglu, inputs.pair),
    Row(ops.softplus, inputs.single, methods=("softplus",)),
    Row(ops.softmax, inputs.along_axis, methods=("softmax",)),
    Row(ops.log_softmax, inputs.along_axis, methods=("log_softmax",)),
    Row(ops.dropout, inputs.dropout),
    Row(ops.attention, inputs.attention),
    Row(ops.self_attention, inputs.self_attention),
    Row(ops.cross_attention, inputs.cross_attention),
    Row(ops.lstm, inputs.lstm),
    Row(ops.cross_entropy, inputs.cross_entropy),
    Row(ops.linear_cross_entropy, inputs.linear_cross_entropy),
]
TABLE = {row.name: row for row in _ROWS}


@dataclass(frozen=True)
class Result:
    """What checking a row found. Errors are relative; None where the check failed, and
    for the body of an op that has none on this device."""

    op: str
    ok: bool
    cases: int
    gradient_error: float | None
    body_error: float | None
    message: str
    seconds: float

    def to_json(self) -> dict:
        return dataclasses.asdict(self)


def gradcheck(names: Iterable[str] = (), *, n_cases: int = 10) -> Iterable[Result]:
    """Check rows of the table (by default all) on the chosen device, one at a time.

    Each case checks the gradients in float64, and the faster body against the
    definition. Raises UsageError for an op that is not in the table.
    """
    for name in names:
        if name not in TABLE:
            raise UsageError(f"no op {name!r}: choose among {', '.join(TABLE)}")
    return (_check(TABLE[name], n_cases) for name in names or TABLE)


def _check(row: Row, n_cases: int) -> Result:
    started = time.perf_counter()
    examples = row.examples(n_cases)
    gradient_error = body_error = None
    # CUDA's bodies are for float32; in float64 definitions run.
    dtype = np.float32 if backend.current().kind == "cuda" else np.float64
    message = ""
    try:
        errors = [check_gradients(row.op, *a, **s) for a, s in examples]
        differences = [check_body(row.op, *a, dtype=dtype, **s) for a, s in examples]
        gradient_error = max(errors)
        if row.name in backend.faster_names(backend.current().kind):
            body_error = max(differences)
    except CheckError as error:
        message = str(error)
    seconds = time.perf_counter() - started
    return Result(
        row.name, not message, n_cases, gradient_error, body_error, message, seconds
    )
