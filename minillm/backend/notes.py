"""Notes on errors: in which op, forward or pullback, and with arrays of which shapes.

The error keeps its type and its traceback (`Exception.add_note`).
"""

import inspect
import sys
from collections.abc import Callable, Iterator

FORWARD, PULLBACK = "in the forward of", "in the pullback of"


def note_forward(error: Exception, name: str, names: list[str], arrays: list) -> None:
    """Note the op and its arguments."""
    shapes = ", ".join(
        f"{argument} {_shape(array)}"
        for argument, array in zip(numbered(names, len(arrays)), arrays, strict=True)
    )
    _add(error, f"{FORWARD} {name}: {shapes}")


def note_pullback(error: Exception, name: str, pullback, parents, g) -> None:
    """Note the op, the line of its pullback, and the argument whose gradient it is."""
    wanted = ", ".join(_shape(p.data) for p in parents if p is not None)
    line = _line(inspect.unwrap(getattr(pullback, "pullback", pullback)))  # of a joint
    _add(
        error,
        f"{PULLBACK} {name}{line}: the gradient of its argument {wanted}, from g "
        f"{_shape(g)}",
    )


def note_pullback_of(error: Exception, name: str, argument: str, given: dict) -> None:
    """The same where the argument is known by its name; `given` are arrays by name."""
    shapes = ", ".join(
        f"{what} {_shape(x)}" for what, x in given.items() if hasattr(x, "shape")
    )
    _add(error, f"{PULLBACK} {name}, gradient of {argument}: {shapes}")


def numbered(names: list[str], n: int) -> list[str]:
    """A name for each of n arguments: x, y; where there are more, arrays[0], …"""
    if len(names) == n:
        return names
    rest = names[-1] if names else "arrays"
    first = names[: max(len(names) - 1, 0)]
    return [*first, *(f"{rest}[{i}]" for i in range(n - len(first)))][:n]


def parameters(function: Callable, n: int) -> list[str]:
    """The names of the n arrays that a rule is given."""
    return numbered([*_positional(function)], n)


def _positional(function: Callable) -> Iterator[str]:
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # built-ins have no signature
        return
    for p in found:
        if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD):
            yield p.name


def _add(error: Exception, note: str) -> None:
    if not any(n.startswith((FORWARD, PULLBACK)) for n in notes(error)):
        error.add_note(note)  # the innermost op says most


def notes(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", ()))


def _shape(x) -> str:
    return str(x.shape) if hasattr(x, "shape") else repr(x)


def _line(function) -> str:
    code = getattr(function, "__code__", None)
    return f" ({code.co_filename}:{code.co_firstlineno})" if code else ""


def calling_line() -> str:
    """The file and line that called the op."""
    frame = sys._getframe()
    inside = ("minillm.backend", "minillm.tensor", "minillm.ops", "minillm.testing")
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(inside):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
