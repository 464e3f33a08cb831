"""The switch between NumPy and CuPy: `use`, or the library that an array is in.

The chosen backend belongs to the process and decides where *new* arrays are made. An op
and its pullback run in the backend of their arrays, whatever `use` says by then: they
enter `running(of(array))`, and `xp` follows.
"""

import contextlib
import contextvars
import importlib.util
import re
from collections.abc import Callable, Iterator

import numpy as np

from minillm.backend.base import Backend
from minillm.errors import DeviceError, UsageError

_cpu = Backend()
_chosen = _cpu
_running = contextvars.ContextVar("running backend", default=None)
_by_array_type = {np.ndarray: _cpu}


class _ArrayModule:
    """`xp`: hands every attribute on from the array module in charge."""

    def __getattr__(self, name):
        return getattr((_running.get() or _chosen).xp, name)


xp = _ArrayModule()
NOTHING = {}  # never written into


def current() -> Backend:
    """The backend in charge: of the op that runs, else the chosen one."""
    return _running.get() or _chosen


def of(*arrays) -> Backend | None:
    """The backend of these arrays; None where there are only Python numbers.

    Raises TypeError when two backends are mixed.
    """
    found = None
    for array in arrays:
        backend = _by_array_type.get(type(array))
        if backend is not found and backend is not None:
            if found is not None:
                raise TypeError(
                    f"arrays on {found.name} and on {backend.name} in one op: "
                    f"move one of them first"
                )
            found = backend
    return found


@contextlib.contextmanager
def running(backend: Backend) -> Iterator[None]:
    """Let `xp` mean this backend, in this thread, for the length of the block."""
    token = _running.set(backend)
    try:
        yield
    finally:
        _running.reset(token)


def run_in(backend: Backend, function: Callable, arrays, settings: dict = NOTHING):
    """Call a function on arrays while `xp` means this backend."""
    if backend is (_running.get() or _chosen):
        return function(*arrays, **settings)
    with running(backend):
        return function(*arrays, **settings)


def add_backend(backend: Backend) -> Backend:
    """Make a backend's array type known, so that ops on such arrays run in it."""
    _by_array_type[backend.array_type] = backend
    return backend


class use:
    """Choose where new arrays are made: "cpu", "cuda", "cuda:1" or "auto".

    A call changes the process; `with use("cuda"):` changes it for a block. "auto" takes
    a GPU that works and the CPU otherwise. Raises UsageError for an unknown name and
    DeviceError, with what is missing and what to do, when CUDA cannot be used.
    """

    def __init__(self, name: "str | Backend"):
        global _chosen
        self._before = _chosen
        _chosen = _find(name)

    def __enter__(self) -> Backend:
        return _chosen

    def __exit__(self, *_):
        global _chosen
        _chosen = self._before


def _find(name) -> Backend:
    if isinstance(name, Backend):
        return name
    if name == "cpu":
        return _cpu
    if name == "auto":
        if not _has_cupy():
            return _cpu
        try:
            return _cuda(0)
        except DeviceError:
            return _cpu
    match = re.fullmatch(r"cuda(?::(\d{1,3}))?", str(name))
    if not match:
        raise UsageError(f"unknown device {name!r}: choose cpu, cuda, cuda:N or auto")
    return _cuda(int(match.group(1) or 0))


def of_rank(name: str, local: int) -> str:
    """The device of a rank by its number on its machine: of `cuda`, the GPU of that
    number, or the only one that a launcher lets it see."""
    if name not in ("auto", "cuda") or local == 0 or not _has_cupy():
        return name
    from minillm.backend import cuda

    try:
        return f"cuda:{local}" if cuda.count() > 1 else "cuda"
    except DeviceError:  # `use` says why, or takes the CPU
        return name


def _has_cupy() -> bool:
    """Whether CuPy can be found. It is not imported: that takes a second."""
    return importlib.util.find_spec("cupy") is not None


def _cuda(index: int) -> Backend:
    from minillm.backend import cuda

    return add_backend(cuda.open_device(index))


def to_numpy(array) -> np.ndarray:
    """An array of any backend as a NumPy array on the host."""
    return (of(array) or _cpu).to_numpy(array)


def describe() -> list[dict]:
    """Every device this machine offers, or the reason why it cannot be used."""
    found = [{"name": "cpu", "usable": True, "reason": "NumPy " + np.__version__}]
    try:
        backend = _cuda(0)
        found.append({"name": "cuda", "usable": True, "reason": backend.describe()})
    except DeviceError as error:
        found.append({"name": "cuda", "usable": False, "reason": str(error)})
    return found
