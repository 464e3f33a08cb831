"""Faster bodies: the same op under the same name, quicker on one kind of backend.

What stands in `ops/` is the definition: the maths, in `xp`. A body registered here
takes the same arguments and keeps the same contract. `with plain():` runs the
definition instead, MINILLM_PLAIN=1 in the environment does so in the whole process, its
threads and workers: a breakpoint in `ops/` is then hit. `tests/ops/test_bodies.py`
compares the two.
"""

import contextlib
import contextvars
import functools
import os
from collections.abc import Callable, Iterator

from minillm.backend import switch
from minillm.errors import UsageError

_bodies: dict[tuple[str, str], object] = {}
_definitions: dict[str, object] = {}
_judge = None
_kernels: set[str] = set()
_plain = contextvars.ContextVar("plain", default=False)
_observer = contextvars.ContextVar("observer", default=None)
_capture = contextvars.ContextVar("capture", default=None)
debug_switch = contextvars.ContextVar("debugging", default=False)
recording = contextvars.ContextVar("recording", default=True)  # not in `no_grad`


def define(rule: Callable) -> Callable:
    """Make an op or kernel known by its name.

    The names of this package stay its own: a `softmax` that someone else writes runs
    beside it, as it is written, and replaces nothing; also where only the body of ours
    has been imported so far.
    """
    name = rule.__name__
    bodies = (body for (_, of), body in _bodies.items() if of == name)
    ours = any(map(_written_here, [_definitions.get(name, rule), *bodies]))
    if _written_here(rule) or not ours:
        _definitions[name] = rule
    return rule


def _written_here(rule) -> bool:
    return (rule.__module__ or "").startswith("minillm.")  # None in an exec


def definition_of(name: str) -> Callable:
    """The op as it is defined, for a body that meets a case which it does not cover."""
    return _definitions[name]


def faster(name: str, kind: str = "cpu") -> Callable:
    """Register a faster body for the op or kernel of this name."""

    def register(body):
        _bodies[kind, name] = body
        holder = _definitions.get(name, body)
        if _written_here(body) and not _written_here(holder):
            del _definitions[name]  # someone else's, see `define`
        return body

    return register


def body_of(rule: Callable, kind: str) -> Callable:
    """What runs for a definition: its faster body on such a backend, or itself."""
    name = rule.__name__
    body = _bodies.get((kind, name), rule)
    if runs_plain() or body is rule or _definitions.get(name) is not rule:
        body = rule
    elif kind != "cpu" and _judge is not None:
        body = _judge(rule, body)
    observer = _observer.get()
    return body if observer is None else observer(name, body)


def is_ours(name: str, body: Callable) -> bool:
    """Whether this is the definition, or the CPU's body, of the op that this package
    has under the name: someone else's may have the same."""
    return body is _definitions.get(name) or body is _bodies.get(("cpu", name))


def judge_with(judge: Callable | None) -> None:
    """Let `judge(rule, body)` say what runs on a GPU: see `self_check.py`."""
    global _judge
    _judge = judge


def pairs(kind: str) -> list[tuple[Callable, Callable]]:
    """(definition, body) of every body for such a device whose definition is known."""
    return [
        (_definitions[name], _bodies[kind, name])
        for name in faster_names(kind)
        if name in _definitions
    ]


def faster_names(kind: str = "cpu") -> list[str]:
    """The names of the ops and kernels that have a faster body."""
    return sorted(name for body_kind, name in _bodies if body_kind == kind)


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """Run the definition of every op, in this thread, for the length of the block."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def runs_plain() -> bool:
    """Whether ops run as they are defined: in a block of `plain()`, or everywhere, by
    MINILLM_PLAIN. Raises UsageError where that is neither 0 nor 1."""
    return _process_is_plain() or _plain.get()


@functools.cache  # every call of an op asks
def _process_is_plain() -> bool:
    asked = os.environ.get("MINILLM_PLAIN", "")
    if asked not in ("", "0", "1"):
        raise UsageError(
            f"MINILLM_PLAIN={asked!r:.60}: 1 runs each op as it is defined, 0 its "
            f"faster body"
        )
    return asked == "1"


@contextlib.contextmanager
def observed(observer: Callable) -> Iterator[None]:
    """For the length of the block, in this thread, run `observer(name, body)` in place
    of each body: a function that does what the body does, and looks on. One within the
    block of another gets what that one makes of the body."""
    outer = _observer.get()
    both = outer and (lambda name, body: observer(name, outer(name, body)))
    token = _observer.set(both or observer)
    try:
        yield
    finally:
        _observer.reset(token)


def is_observed() -> bool:
    """Whether this is in a block of `observed()`."""
    return _observer.get() is not None


def anew(make: Callable):
    """The array that `make()` gives: one that no op makes, such as positions. A step
    that is captured (`capture.py`) makes it anew each time it is repeated."""
    capture = _capture.get()
    return make() if capture is None else capture.keep(make)


@contextlib.contextmanager
def capturing(capture) -> Iterator[None]:
    """For the length of the block, in this thread, let a capture run every op and
    kernel, and keep what is made `anew`."""
    token = _capture.set(capture)
    try:
        with observed(capture.body_for):
            yield
    finally:
        _capture.reset(token)


def debugging() -> bool:
    """Whether this is in a block of `debug()`."""
    return debug_switch.get()


def inherit(function: Callable) -> Callable:
    """The function with this thread's `plain`, `no_grad` and debug mode, for a worker.

    A new thread starts without them; call `inherit` in the thread that starts it.
    """
    return functools.partial(contextvars.copy_context().run, function)


def kernel(rule: Callable) -> Callable:
    """Make a function on arrays that has no gradient, such as an update in place.

    It runs in the backend of its first array, with that backend's faster body.
    """
    _kernels.add(define(rule).__name__)

    @functools.wraps(rule)
    def run(*arrays, **settings):
        backend = switch.of(*arrays)
        body = body_of(rule, backend.kind)
        return switch.run_in(backend, body, arrays, settings)

    return run


def is_kernel(name: str) -> bool:
    return name in _kernels
