"""Ctrl-C, SIGTERM, SIGHUP and SIGUSR1, from the first import of a process to its end.

Nothing heavy is imported here: before this is in force, Python just ends.
"""

import _thread
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")  # the last two: not on Windows
SIGNALS = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]


class Terminated(SystemExit):
    """Another signal than Ctrl-C's arrived. A SystemExit: workers and `finally` take it
    calmly."""


def heard() -> None:
    """Let the others unwind the stack, as Ctrl-C does, so that files are closed and
    workers are ended."""

    def terminate(*_):
        raise Terminated(143)

    for number in SIGNALS:
        wish = signal.getsignal(number)  # to hear nothing: of `nohup`, for one
        taken = number != signal.SIGINT and wish != signal.SIG_IGN
        if taken and threading.current_thread() is threading.main_thread():
            signal.signal(number, terminate)


def ignored() -> None:
    """From here on it is too late to end anything: what is left to do is to say it."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def put_back() -> Iterator[None]:
    """What a signal did before the block, it does after it."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)


def once_more(unraisable) -> None:
    """A `sys.unraisablehook`: where Python cannot raise what a signal raised, as in
    `__del__`, the signal comes once more, a moment later."""
    match unraisable.exc_value:
        case KeyboardInterrupt():
            number = signal.SIGINT
        case Terminated():
            number = signal.SIGTERM
        case _:
            return sys.__unraisablehook__(unraisable)
    later = threading.Timer(0.01, _thread.interrupt_main, [number])
    later.daemon = True
    later.start()
