"""Workers: processes or threads that do the same call at the same time. What each does,
with its shard of the batch and in adding up the gradients, is in `worker.py`.

Processes are forked (Linux), so that each starts with everything its parent has and
sees the same shared buffers; they are spared the interpreter lock. Elsewhere, and when
asked, threads.
"""

import atexit
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from multiprocessing.process import BaseProcess

import numpy as np

from minillm import backend
from minillm.backend import Backend
from minillm.backend.products import threads
from minillm.errors import MinillmError, UsageError, option
from minillm.learning.worker import Worker

# What ends a process, with what each does by default.
SIGNALS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
HANG_UP = getattr(signal, "SIGHUP", None)  # a terminal that closes; not on Windows
if HANG_UP:
    SIGNALS[HANG_UP] = signal.SIG_DFL
# A cluster's word that the time of a job is nearly over, perhaps said several times.
SAVE = getattr(signal, "SIGUSR1", None)
if SAVE:
    SIGNALS[SAVE] = signal.SIG_DFL
PATIENCE = 5.0  # seconds that a worker has for its last step, when all is over


def choose_workers(
    text: str, batch: int, device: Backend, ranks=None
) -> tuple[str, int]:
    """The workers of this process on a device: `parse_workers`, but a GPU takes one,
    and each of several ranks is one.

    Raises UsageError.
    """
    if ranks:
        ranks.check(text, batch)
        return "ranks", 1
    if device.kind == "cpu":
        return parse_workers(text, batch)
    if text not in ("auto", "1"):
        raise UsageError(f"{option('workers', text)}: {device.name} takes one")
    return "device", 1


def parse_workers(text: str, batch: int) -> tuple[str, int]:
    """What `--workers` means on this machine: ("processes" | "threads", number).

    "auto" takes every core this process may use, but no more than one for four
    sequences; "2", "threads:2" and "processes:2" say it. Raises UsageError.
    """
    forks = sys.platform == "linux"
    kind, _, number = str(text).rpartition(":")
    counts = number == "auto" or (number.isdecimal() and int(number) > 0)
    if kind not in ("", "threads", "processes") or not counts:
        raise UsageError(
            f"{option('workers', text)}: say auto, a number from 1, threads:N or "
            f"processes:N"
        )
    kind = "processes" if forks and kind != "threads" else "threads"
    if number == "auto":
        return kind, max(1, min(available_cores(), batch // 4))
    if int(number) > batch:
        raise UsageError(
            f"{option('workers', text)}: more workers than the {batch} sequences of a "
            f"batch"
        )
    return kind, int(number)


def missed_wish(text: str, kind: str) -> str | None:
    """What to tell who asked for processes and gets threads."""
    if text.startswith("processes") and kind == "threads":
        return (
            f"{option('workers', text)}: this platform cannot fork, threads do the work"
        )
    return None


def available_cores() -> int:
    """The cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """n workers at work; `Worker.reduce` (`worker.py`) adds up their gradients.

    `make(rank)` makes one; worker 0 is the caller itself. `call("name", …)`
    runs the method of that name in every worker and returns the answers by rank. A
    worker's error is raised here; a worker that died raises MinillmError.
    """

    def __init__(self, make, kind: str, n: int):
        self.first = make(0)
        self._others = []
        self._connections = []
        self._owing = []  # connections whose answer has not been read
        for rank in range(1, n):
            here, there = multiprocessing.Pipe()
            self._connections.append(here)
            start = _fork if kind == "processes" else _start_thread
            try:
                self._others.append(start(make, rank, there, self._connections))
            except OSError as error:  # no process, file or memory is left
                self.close(0.1)
                raise MinillmError(
                    f"worker {rank} cannot be started ({error.strerror}): try "
                    f"{option('workers', 1)}"
                ) from None
        # For who does not close them: ahead of multiprocessing's own handler, which
        # would wait for processes that let no signal end them.
        atexit.register(self.close, 0.1)

    def call(self, method: str, *arguments) -> list:
        # Of a call that an error or Ctrl-C broke off.
        for connection in list(self._owing):
            self._answer(connection)
        for connection in self._connections:
            with contextlib.suppress(OSError):  # recv then says what happened
                connection.send((method, arguments))
            self._owing.append(connection)
        answers = [getattr(self.first, method)(*arguments)]
        for connection in self._connections:
            answer, error = self._answer(connection)
            if error is not None:
                raise error
            answers.append(answer)
        return answers

    def _answer(self, connection) -> tuple:
        """(what a worker answers, its error or None)."""
        try:
            answer = connection.recv()
        except (EOFError, OSError):
            rank = self._connections.index(connection) + 1
            raise MinillmError(
                f"worker {rank} died: out of memory? Try {option('workers', 1)}"
            ) from None
        self._owing.remove(connection)
        return answer

    def close(self, patience: float = PATIENCE) -> None:
        """Send the others home. Processes that have not gone after so many seconds are
        ended: they share memory only, which stays as it is."""
        atexit.unregister(self.close)
        for connection in self._connections:
            connection.close()
        for worker in self._others:
            worker.join(patience)
            if worker.is_alive() and isinstance(worker, BaseProcess):
                worker.kill()
                worker.join()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, error, *_):
        self.close(PATIENCE if error is None else 0.1)


def _fork(make, rank, connection, parents_ends):
    if multiprocessing.current_process().daemon:
        raise UsageError("a worker has no workers of its own: give it workers=1")

    def run():
        # Ctrl-C and the end of a terminal reach every process of it, and a batch
        # system's SIGTERM all of a job; the parent decides what they mean.
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        for end in parents_ends:  # or this process would never see the parent go
            end.close()
        _serve(make(rank), connection)

    process = multiprocessing.get_context("fork").Process(target=run, daemon=True)
    with warnings.catch_warnings():
        # Python warns of any fork beside threads. BLAS keeps idle threads and is made
        # to be forked; nothing else has started one yet.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    connection.close()
    return process


def _start_thread(make, rank, connection, _parents_ends):
    worker = make(rank)
    target = backend.inherit(_serve)
    thread = threading.Thread(target=target, args=(worker, connection), daemon=True)
    thread.start()
    return thread


def _serve(worker, connection) -> None:
    """Do what arrives, until the other end is closed."""
    with contextlib.suppress(EOFError, OSError), connection:
        while True:
            method, arguments = connection.recv()
            try:
                answer, error = getattr(worker, method)(*arguments), None
            except Exception as failure:
                answer, error = None, failure
            connection.send((answer, error))


@contextlib.contextmanager
def open_workers(learner) -> Iterator[tuple]:
    """The workers of a Learner, and on a GPU the steps that nobody has waited for:
    (`Workers` or `Ranks`, `Unread` or None)."""
    work, n = learner.work, learner.n_workers
    with (
        backend.use(learner.config.device) as device,
        threads(1),  # a worker is one core's work
        # What overflows shows in the loss or in the norm of the gradient.
        np.errstate(over="ignore", invalid="ignore", divide="ignore"),
    ):
        if learner.ranks:
            yield learner.ranks.start(learner), None
            return
        # Its processes are forked with all of the above in force.
        made = Workers(lambda rank: Worker(work, rank, n), learner.worker_kind, n)
        with made as workers:
            if device.kind == "cpu":
                yield workers, None
                return
            from minillm.learning.unread import Unread  # opened for a GPU only

            yield workers, Unread(learner.config.clip, learner.wait)
