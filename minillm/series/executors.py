"""Executors: who does the runs of a series: this machine, a cluster of Dask, MPI.

They differ in `submit`, and in how workers are asked about.
"""

import asyncio
import contextlib
import logging
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from minillm import launcher
from minillm.errors import Interrupted, MinillmError, UsageError, install, option
from minillm.learning.worker_pool import SIGNALS
from minillm.runs.record import versions

NAMES = ("local", "dask", "mpi")
PATIENCE = 10  # seconds for a scheduler to answer
LISTENING = 0.05  # seconds between two looks of a rank for a question


class Executor:
    """Workers elsewhere; `address` is that of their scheduler, if they have one."""

    address: str | None = None

    def n(self) -> int:
        """How many runs they do at a time."""
        raise NotImplementedError

    def submit(self, name: str, function: Callable, *arguments):
        """Have a function called on some worker: a future (`concurrent.futures`)."""
        raise NotImplementedError

    def ask(self, function: Callable, *arguments) -> dict:
        """{worker: what a function returns there, or its error}, also of those that
        are at work."""
        raise NotImplementedError

    def command(self, line: str) -> str:
        """A command line that goes on with a series here, made one that does so on
        these workers."""
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

    def command(self, line: str) -> str:
        return f"{line} --executor dask --scheduler {shlex.quote(self.address)}"

    def is_gone(self) -> bool:
        return self.client.status != "running"

    def check(self) -> None:
        if self.is_gone():
            raise MinillmError(
                f"the scheduler {self.address} is gone: what ran saves, as far as its "
                f"worker lives; start a scheduler, and the same command again"
            )


class Mpi(Executor):
    """The ranks of one job, but rank 0, which gives them work. comm: by which they are
    asked beside it."""

    def __init__(self, pool, comm):
        self.pool = pool
        self.comm = comm

    def n(self) -> int:
        return self.comm.size - 1

    def submit(self, name: str, function: Callable, *arguments):
        return self.pool.submit(function, *arguments)

    def ask(self, function: Callable, *arguments) -> dict:
        self.tell((function, arguments))
        return {f"{rank}": self.comm.recv(source=rank) for rank in self._others()}

    def tell(self, question: tuple | None) -> None:
        for rank in self._others():
            self.comm.send(question, rank)

    def command(self, line: str) -> str:
        return f"mpiexec -n {self.comm.size} {line} --executor mpi"

    def _others(self) -> range:
        return range(1, self.comm.size)


def _answer(comm) -> None:
    """Answer what rank 0 asks, beside the work of this rank."""
    while True:
        while not comm.iprobe(source=0):  # `recv` would keep a core busy with waiting
            time.sleep(LISTENING)
        if (question := comm.recv(source=0)) is None:
            return
        function, arguments = question
        try:
            answer = function(*arguments)
        except Exception as error:
            answer = error
        comm.send(answer, 0)


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
            f"{option('executor', 'dask')}: {error}: {install('dask')}"
        ) from None
    # What it has to say, about a lost scheduler for one, is said by `Dask.check`.
    logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)
    begun = time.monotonic()
    try:
        with ThreadPoolExecutor(1) as thread:  # a notebook has a loop in this one
            found = thread.submit(asyncio.run, _kind(address)).result()
    except OSError:
        waited = time.monotonic() - begun
        raise UsageError(
            f"{option('scheduler', address)}: nobody answers after {waited:.0f} seconds"
        ) from None
    except (
        Exception
    ) as error:  # of a malformed address, or an answer that is not Dask's
        found = " ".join(str(error).split())
    if found != "Scheduler":
        raise UsageError(
            f"{option('scheduler', address)}: is no scheduler of Dask ({found})"
        )
    client = Client(address, timeout=PATIENCE, set_as_default=False)
    try:
        yield client
    finally:
        client.close(timeout=2)


async def _kind(address: str) -> str:
    """What Dask says that answers at an address. A client that finds something else
    there could not be closed."""
    from distributed import Security, rpc

    arguments = Security().get_connection_args("client")
    async with asyncio.timeout(PATIENCE), rpc(address, connection_args=arguments) as it:
        return (await it.identity())["type"]


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
    beside = ranks.comm.Dup()
    if ranks.rank:
        for number in SIGNALS:  # rank 0 decides what they mean
            signal.signal(number, lambda *_: None)
        listener = threading.Thread(target=_answer, args=(beside,))
        listener.start()
        with MPICommExecutor(ranks.comm):
            yield "served"
        listener.join()
    else:
        with MPICommExecutor(ranks.comm) as pool:
            executor = Mpi(pool, beside)
            try:
                yield executor
            except (MinillmError, Interrupted) as error:
                launcher.everywhere(error)  # the others end by themselves
                raise
            finally:
                executor.tell(None)
