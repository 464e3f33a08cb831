"""Executors: who does the runs of a series: this machine, a cluster of Dask, MPI.

They differ in `submit`, and in how workers are asked about.
"""

import contextlib
import logging
import signal
import time
from collections.abc import Callable, Iterator

from minillm import launcher
from minillm.errors import MinillmError, UsageError, option
from minillm.learning.workers import SIGNALS
from minillm.runs.record import versions

NAMES = ("local", "dask", "mpi")
PATIENCE = 10  # seconds for a scheduler to answer
SETTLING = 0.3  # seconds in which every rank takes one of as many questions


class Executor:
    """Workers elsewhere. listens: they answer also while they are at work."""

    listens = True

    def n(self) -> int:
        """How many runs they do at a time."""
        raise NotImplementedError

    def submit(self, name: str, function: Callable, *arguments):
        """Have a function called on some worker: a future (`concurrent.futures`)."""
        raise NotImplementedError

    def ask(self, function: Callable, *arguments) -> dict:
        """{worker: what a function returns there, or its error}."""
        raise NotImplementedError

    def is_gone(self) -> bool:
        return False

    def check(self) -> None:
        """Raise MinillmError where nobody answers any more."""


class Dask(Executor):
    """A cluster of Dask that is there already, with a worker thread for each run."""

    def __init__(self, client, address: str):
        self.client = client
        self.address = address
        self.submitted = 0

    def n(self) -> int:
        return sum(self.client.nthreads().values())

    def submit(self, name: str, function: Callable, *arguments):
        # The first is the longest, and begins first.
        self.submitted += 1
        key = f"{name}-{time.time_ns()}"  # or an earlier answer of the cluster is taken
        priority = -self.submitted
        return self.client.submit(
            function, *arguments, key=key, priority=priority, pure=False
        )

    def ask(self, function: Callable, *arguments) -> dict:
        return self.client.run(function, *arguments, on_error="return")

    def is_gone(self) -> bool:
        return self.client.status != "running"

    def check(self) -> None:
        if self.is_gone():
            raise MinillmError(
                f"the scheduler {self.address} is gone: what ran saves, as far as its "
                f"worker lives; start a scheduler, and the same command again"
            )


class Mpi(Executor):
    """The ranks of one job, but rank 0, which gives them work."""

    listens = False

    def __init__(self, pool, n_workers: int):
        self.pool = pool
        self.n_workers = n_workers

    def n(self) -> int:
        return self.n_workers

    def submit(self, name: str, function: Callable, *arguments):
        return self.pool.submit(function, *arguments)

    def ask(self, function: Callable, *arguments) -> dict:
        questions = [
            self.pool.submit(_slowly, function, *arguments)
            for _ in range(self.n_workers)
        ]
        return {f"{i}": question.result() for i, question in enumerate(questions, 1)}


def _slowly(function: Callable, *arguments):
    answer = function(*arguments)
    time.sleep(SETTLING)
    return answer


@contextlib.contextmanager
def opened(name: str, scheduler: str | None) -> Iterator[Executor | str | None]:
    """The executor of this name for the length of the block; None for `local`, and
    "served" on a rank that has worked for rank 0.

    Raises UsageError where it cannot be had.
    """
    if name not in NAMES:
        raise UsageError(f"executor {name!r}: choose one of {', '.join(NAMES)}")
    if (scheduler is not None) != (name == "dask"):
        raise UsageError(
            f"{option('executor', 'dask')} and {option('scheduler', 'ADDRESS')} go "
            f"together"
        )
    _, n = launcher.place()
    if n > 1 and name != "mpi":
        raise launcher.everywhere(
            UsageError(
                f"{n} processes were started together, and each would do the whole "
                f"series: add {option('executor', 'mpi')}"
            )
        )
    if name == "local":
        yield None
    elif name == "dask":
        with _client(scheduler) as client:
            yield Dask(client, scheduler)
    else:
        with _pool() as executor:
            yield executor


@contextlib.contextmanager
def _client(address: str):
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError(
            f"{option('executor', 'dask')}: {error}: pip install 'minillm-lab[dask]'"
        ) from None
    # What it has to say, about a lost scheduler for one, is said by `Dask.check`.
    logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)
    begun = time.monotonic()
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        waited = time.monotonic() - begun
        reason = " ".join(str(error).split())
        raise UsageError(
            f"{option('scheduler', address)}: nobody answers after {waited:.0f} "
            f"seconds "
            f"({reason})"
        ) from None
    try:
        yield client
    finally:
        client.close(timeout=2)


@contextlib.contextmanager
def _pool():
    from minillm.learning.ranks import join  # opened for them only

    ranks = join()
    if ranks is None:
        raise UsageError(
            f"{option('executor', 'mpi')} gives work to the other ranks of a job: "
            f"start it as "
            f"mpiexec -n 5 minillm scale --executor mpi"
        )
    from mpi4py.futures import MPICommExecutor

    ranks.agree(**versions())
    if ranks.rank:
        for number in SIGNALS:  # rank 0 decides what they mean
            signal.signal(number, lambda *_: None)
    with MPICommExecutor(ranks.comm) as pool:
        yield "served" if pool is None else Mpi(pool, ranks.size - 1)
