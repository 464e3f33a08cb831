"""Launches of the kernels in `kernels.cu`, typed by their C signatures.

A GPU takes the arguments of a kernel as plain bytes: a Python float would arrive as a
double, and the kernel would read half of it without a word. So the signature says what
each argument must be, and what is anything else is refused before it is launched.
"""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minillm.backend import switch

SOURCE = Path(__file__).with_name("kernels.cu")
TYPES = {"float": np.float32, "int": np.int32, "unsigned": np.uint32, "bool": np.bool_}
_KERNEL = re.compile(
    r'extern "C" __global__ void (?:__launch_bounds__\([^()]*\) )?(\w+)\((.*?)\)\s*\{',
    re.S,
)
# VIEW(const float, q) | const float* x | int n
_PARAMETER = re.compile(
    r"VIEW\((?:const )?(?P<view>\w+), (?P<of>\w+)\)"
    r"|(?:const )?(?P<type>\w+)(?P<star>\*?) (?P<name>\w+)"
)


@dataclass(frozen=True)
class Parameter:
    """One of a kernel's parameters: a number, a contiguous array, or a view: an array
    (batch, heads, rows, width) whose rows may lie anywhere."""

    kernel: str
    name: str
    dtype: type
    kind: str  # "number", "array" or "view"

    def passed(self, value) -> tuple:
        """What a GPU is handed: arrays, and numbers of the right type. None stands for
        an array that a kernel can do without. Raises TypeError."""
        if self.kind == "number":
            return (self._number(value),)
        if value is None and self.kind == "array":
            return (np.uintp(0),)
        device = switch.current()
        found = getattr(value, "dtype", None)
        if found != self.dtype or switch.of(value) is not device:
            wanted = f"an array of {np.dtype(self.dtype)} on {device.name}"
            given = str(found or repr(value))[:60]
            raise self._refusal(f"{wanted} is needed, not {given}")
        if self.kind == "array":
            if not value.flags.c_contiguous:
                raise self._refusal("the array must be contiguous")
            return (value,)
        steps = [step // value.itemsize for step in value.strides]
        if value.ndim == 4 and lies_in_rows(value) and max(steps) < 2**31:
            return (value, *map(np.int32, steps[:3]))
        raise self._refusal(
            f"no view of (batch, heads, rows, width): its shape is {value.shape}, its "
            f"strides are {value.strides}"
        )

    def _number(self, value):
        whole = isinstance(value, int)
        if not whole and (self.dtype is not np.float32 or type(value) is not float):
            raise self._refusal(f"{value!r:.60} is no {np.dtype(self.dtype)}")
        low, high = (0, 2**32) if self.dtype is np.uint32 else (-(2**31), 2**31)
        if whole and not low <= value < high:
            raise self._refusal(f"{value} does not fit into {np.dtype(self.dtype)}")
        return self.dtype(value)

    def _refusal(self, why: str) -> TypeError:
        return TypeError(f"kernel {self.kernel}, {self.name}: {why}")


def lies_in_rows(x) -> bool:
    """Whether the numbers along the last axis lie one after the other."""
    return x.strides[-1] == x.itemsize and min(x.strides) >= 0


def signatures(source: str) -> dict[str, list[Parameter]]:
    """{kernel: its parameters} of a text in CUDA C. Raises ValueError for a parameter
    of a type that `TYPES` does not have."""
    found = {}
    for kernel, parameters in _KERNEL.findall(source):
        # The comma within VIEW(...) separates nothing.
        parts = re.split(r",\s*(?![^()]*\))", parameters.strip())
        found[kernel] = [_parameter(kernel, " ".join(part.split())) for part in parts]
    return found


def _parameter(kernel: str, text: str) -> Parameter:
    match = _PARAMETER.fullmatch(text)
    dtype = match and TYPES.get(match["view"] or match["type"])
    if not dtype:
        raise ValueError(f"kernel {kernel}: cannot read its parameter {text!r}")
    if match["view"]:
        return Parameter(kernel, match["of"], dtype, "view")
    kind = "array" if match["star"] else "number"
    return Parameter(kernel, match["name"], dtype, kind)


@functools.cache
def source() -> str:
    return SOURCE.read_text(encoding="utf-8")


@functools.cache
def _signatures() -> dict[str, list[Parameter]]:
    return signatures(source())


@functools.cache
def _module(device, **constants):
    return device.compile(source(), constants)


@functools.cache
def _function(device, kernel: str, **constants):
    return _module(device, **constants).get_function(kernel)


def launch(
    kernel: str,
    blocks: int | tuple[int, ...],
    threads: int,
    *arguments,
    shared: int = 0,
    **constants: int,
) -> None:
    """Run a kernel on the device in charge, on so many blocks of so many threads, with
    `shared` bytes of dynamic shared memory. `constants` are compiled in. Nobody waits
    for its end. Raises TypeError for arguments that its signature does not fit.
    """
    parameters = _signatures()[kernel]
    if len(arguments) != len(parameters):
        raise TypeError(
            f"kernel {kernel}: {len(parameters)} arguments are needed, "
            f"{len(arguments)} are given"
        )
    passed = []
    for parameter, value in zip(parameters, arguments, strict=True):
        passed += parameter.passed(value)
    blocks = blocks if isinstance(blocks, tuple) else (blocks,)
    function = _function(switch.current(), kernel, **constants)
    function(blocks, (threads,), tuple(passed), shared_mem=shared)
