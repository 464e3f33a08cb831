"""Process pool: tasks in processes of their own, some side by side.

Two tasks of one core each use two cores fully: they share nothing and never wait.
"""

import contextlib
import multiprocessing
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import wait

from minillm.children import safe_path
from minillm.errors import Interrupted, MinillmError, command_line, option, typed

TICK = 0.5  # seconds between two looks, at most
PATIENCE = 3.0  # seconds that a stopped task has for saving its work


@dataclass(frozen=True)
class Task:
    """A call `function(send, *arguments)`, which may `send` values while it works."""

    name: str
    function: Callable
    arguments: tuple = ()


@dataclass(frozen=True)
class Event:
    """A message from a task, or of its end.

    kind: "started"; "sent", "answered" (see `value`); "failed" (`value` is the
    message, `exit_code` that of the error); "tick", with no task: time has passed.
    """

    kind: str
    task: Task | None = None
    value: object = None
    exit_code: int = 0


def forks() -> bool:
    """Whether a task inherits its parent's memory."""
    return sys.platform == "linux"


def side_by_side(tasks: Iterable[Task], n: int) -> Iterator[Event]:
    """Run every task, n at a time, and yield the events.

    Each is taken from `tasks` when a process is free. Close the iterator (or let an
    exception through it) to stop what is running: a task is asked by SIGTERM first.
    """
    tasks = iter(tasks)
    running = {}
    try:
        while True:
            while len(running) < n and (task := next(tasks, None)) is not None:
                yield Event("started", task)
                connection, process = _start(task, list(running))
                running[connection] = task, process
            if not running:
                return
            for connection in wait(list(running), TICK):
                task, process = running[connection]
                event = _hear(connection, task, process)
                if event.kind != "sent":
                    del running[connection]
                    connection.close()
                    process.join()
                yield event
            yield Event("tick")
    finally:
        _stop([process for _, process in running.values()])


def _hear(connection, task: Task, process) -> Event:
    try:
        kind, value, exit_code = connection.recv()
    except (EOFError, OSError):
        process.join(PATIENCE)
        why = f"its process died (exit code {process.exitcode})"
        if process.exitcode == -getattr(signal, "SIGKILL", 9):
            why += ": out of memory?"
        return Event("failed", task, why, MinillmError.exit_code)
    return Event(kind, task, value, exit_code)


def _start(task: Task, parents_ends: list):
    context = multiprocessing.get_context("fork" if forks() else "spawn")
    here, there = context.Pipe(duplex=False)
    ends = [here, *parents_ends] if forks() else []
    process = context.Process(
        target=_work, args=(task, there, ends, typed()), daemon=True
    )
    with safe_path(), _terminal_kept_out(), warnings.catch_warnings():
        # Python warns of any fork beside threads. BLAS keeps idle threads and is made
        # to be forked; nothing else has started one.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            process.start()
        except OSError as error:  # no process, file or memory is left
            raise MinillmError(
                f"{task.name}: its process cannot be started ({error.strerror}): try "
                f"fewer {option('workers')}"
            ) from None
    there.close()
    return here, process


@contextlib.contextmanager
def _terminal_kept_out():
    """Block the signals of the terminal (Ctrl-C, closing) in processes started here:
    they reach every process, and the parent decides."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(task: Task, connection, parents_ends: list, typed: bool) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for end in parents_ends:  # or this process would never see the parent go
        end.close()

    def send(value) -> None:
        connection.send(("sent", value, 0))

    try:
        with command_line(typed):  # a process that is spawned does not know it
            answer = "answered", task.function(send, *task.arguments), 0
    except (MinillmError, Interrupted) as error:
        answer = "failed", str(error), error.exit_code
    except BrokenPipeError:  # the parent has gone
        return
    except Exception as error:
        answer = "failed", f"{type(error).__name__}: {error}", MinillmError.exit_code
    with contextlib.suppress(BrokenPipeError):
        connection.send(answer)


def _stop(processes: list) -> None:
    for end in ("terminate", "terminate", "kill"):
        for process in processes:
            getattr(process, end)()
        deadline = time.monotonic() + PATIENCE
        for process in processes:
            process.join(max(0.0, deadline - time.monotonic()))
        processes = [process for process in processes if process.is_alive()]
