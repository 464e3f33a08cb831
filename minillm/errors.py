"""The errors a user can cause, each with the exit code the command line gives it; and
how they name an option, which depends on who reads them."""

import contextlib
import math
import os
import shlex
import traceback
from collections.abc import Iterable, Iterator


class _OneLine:
    """In IPython an error shows its sentence and no traceback, as in a terminal, unless
    MINILLM_TRACEBACK is set."""

    def _render_traceback_(self) -> list[str]:
        if os.environ.get("MINILLM_TRACEBACK"):
            return traceback.format_exception(self)
        # What a terminal would obey is shown as a code.
        told = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(self))
        return [f"{type(self).__name__}: {shortened(told)}"]


class MinillmError(_OneLine, Exception):
    """Something failed that the user can do something about. One line, no traceback."""

    exit_code = 1


class UsageError(MinillmError, ValueError):
    """An option, an argument or a setting does not make sense."""

    exit_code = 2


class DataError(MinillmError):
    """A file is missing, damaged, or does not hold what was asked of it."""

    exit_code = 3


class DeviceError(MinillmError):
    """The device is not there, cannot be used, or has too little memory."""

    exit_code = 4


class DivergedError(MinillmError):
    """The loss or a gradient stopped being a finite number.

    `step` counts from 1; `figures` are what it came to, by name.
    """

    exit_code = 5

    def __init__(self, message: str, step: int = 0, figures: dict | None = None):
        super().__init__(message)
        self.step = step
        self.figures = figures or {}


def check_finite(n_done: int, **figures: float) -> None:
    """Raise DivergedError unless all of these figures, which the last of `n_done` steps
    gave, are finite."""
    if not all(map(math.isfinite, figures.values())):
        values = ", ".join(
            f"{name.replace('_', ' ')} {value:.3g}" for name, value in figures.items()
        )
        raise DivergedError(
            f"diverged in step {n_done}: {values}; try a smaller {option('lr')}",
            n_done,
            figures,
        )


class Interrupted(_OneLine, BaseException):
    """Stopped by Ctrl-C (130) or a request to terminate (143), its work saved.

    It stands beside `Exception`, as KeyboardInterrupt does: a loop over many runs that
    goes on after an `Exception` ends with it.
    """

    def __init__(self, message: str, exit_code: int = 130):
        super().__init__(message)
        self.exit_code = exit_code


# ------------------------------------------------------------ the words of messages

LONG_PATH, BEGINNING = 400, 40  # characters of a path, and of a text in its place
FEW = 12  # names that are listed beside the nearest
# Whether a command line was typed, or a function of Python called.
_typed = False


def typed() -> bool:
    """Whether messages speak to somebody who has typed a command."""
    return _typed


@contextlib.contextmanager
def command_line(typed: bool = True) -> Iterator[None]:
    """In this block messages speak to somebody who has typed a command."""
    global _typed
    before, _typed = _typed, typed
    try:
        yield
    finally:
        _typed = before


def option(name: str, *values) -> str:
    """An option in a message, alone or with its values: `--lr 0.1` where a command was
    typed, `lr=0.1` where a function was called. True and False are for a switch:
    `--resume`, `--no-resume` or `resume=True`."""
    if not _typed:
        told = ", ".join(map(_in_python, values))
        return f"{name}=({told})" if len(values) > 1 else f"{name}={told}"
    name = name.replace("_", "-")
    if not values or isinstance(values[0], bool):
        return f"--no-{name}" if values and not values[0] else f"--{name}"
    return " ".join(f"--{name} {shlex.quote(str(value))}" for value in values)


def call(name: str, *given, **options) -> str:
    """A whole call in a message: `minillm train --resume --out runs/a`, or
    `train(resume=True, out='runs/a')`."""
    told = [option(key, value) for key, value in options.items()]
    if not _typed:
        return f"{name}({', '.join([*map(_in_python, given), *told])})"
    return " ".join(["minillm", name, *(shlex.quote(str(one)) for one in given), *told])


def install(extra: str) -> str:
    """How to get what an extra brings. On PyPI there is no minillm of ours."""
    return f"pip install '.[{extra}]' in the clone of minillm"


def shortened(text: str, most: int = 2000) -> str:
    """A text without its middle, where it is long: what is wrong is said at its end."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} ... {text[-most // 2 :]}"


def brief(named) -> str:
    """A path in a message; of a text that was given in place of one its beginning."""
    text = os.fspath(named)
    if len(text) <= LONG_PATH and "\n" not in text:
        return text
    return f"{text[:BEGINNING]!r} … ({len(text):,} characters)"


def quoted(text: str) -> str:
    """A name in a message, cut where it is no name but a text."""
    return repr(text) if len(text) <= LONG_PATH and "\n" not in text else brief(text)


def nearest(name, known: Iterable[str]) -> str:
    """`: did you mean 'nano'?`; nothing where no known name is near."""
    import difflib

    near = difflib.get_close_matches(str(name)[:LONG_PATH], list(known), n=1)
    return f": did you mean {near[0]!r}?" if near else ""


def guess(name, known: Iterable[str]) -> str:
    """The nearest of the known names; and all of them where they are few, or none is
    near."""
    known = list(known)
    near = nearest(name, known)
    if near and len(known) > FEW:
        return near
    return f"{near or ':'} choose one of {', '.join(known)}"


def _in_python(value) -> str:
    return repr(os.fspath(value) if isinstance(value, os.PathLike) else value)
