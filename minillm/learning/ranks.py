"""Ranks: one model on several machines, by MPI.

A rank is a process that `mpiexec` or `srun` has started, one worker with weights of its
own. All ranks run the same program and make the same calls in the same order: nothing
else keeps their weights alike.
"""

import hashlib
import time

from minillm import backend, launcher
from minillm.errors import MinillmError, UsageError
from minillm.learning.optimizer import squared_norm
from minillm.learning.worker import Worker, Workplace, part


class Ranks:
    """The ranks of a communicator (`mpi4py.MPI.Comm`); this process is `rank` of
    `size`.

    n_here: those on this machine, `local` is this one's number among them. seconds: the
    time in `add_up`, with the wait for the slowest rank.
    """

    def __init__(self, comm):
        from mpi4py import MPI

        self.comm = comm
        self.rank, self.size = comm.rank, comm.size
        here = comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.local, self.n_here = here.rank, here.size
        here.Free()
        self.seconds = 0.0
        self.signal = None  # that another rank has heard

    def device(self, name: str) -> str:
        """The device of this rank: of `cuda`, the GPU of its number on its machine."""
        if name == "auto":
            with backend.use("auto") as found:
                name = found.kind
        return f"cuda:{self.local}" if name == "cuda" else name

    def start(self, work: Workplace, step: int) -> int:
        """Begin with the weights and moments of rank 0; returns its next step."""
        for array in (work.flat.data, *work.optimizer.state.values()):
            host = backend.to_numpy(array)
            self.comm.Bcast(host)
            array[...] = backend.of(array).asarray(host)
        self.worker = RankWorker(work, self)
        return self.comm.bcast(step)

    def call(self, method: str, *arguments) -> list:
        """The answers of all workers, by rank, as `Workers.call`; on every rank."""
        return self.comm.allgather(getattr(self.worker, method)(*arguments))

    def add_up(self, array) -> None:
        """Put the sum over all ranks in the place of an array, on every rank."""
        begun = time.perf_counter()
        backend.of(array).add_up(array, self.comm)
        self.seconds += time.perf_counter() - begun

    def agree(self, error: type[MinillmError] = UsageError, **facts) -> None:
        """Raise this error, on every rank, where one has other facts than rank 0."""
        first, *others = self.comm.allgather(facts)
        for rank, theirs in enumerate(others, 1):
            for name, value in first.items():
                if theirs.get(name) != value:
                    message = f"{name} {theirs.get(name)} instead of {value}"
                    raise launcher.everywhere(
                        error(f"rank {rank} has {message}, as rank 0: all must agree")
                    )

    def tell(self, call) -> None:
        """Rank 0 says what to call next (`runs/leader.py`), and hears of signals."""
        _, *signals = self.comm.allgather(call)
        self.signal = next(filter(None, signals), self.signal)

    def told(self, signal: int | None):
        """What rank 0 says; `signal` is what this rank has heard meanwhile."""
        return self.comm.allgather(signal)[0]


class RankWorker(Worker):
    """The worker of a rank: its share of a batch, and all of the weights."""

    def __init__(self, work: Workplace, ranks: Ranks):
        super().__init__(work, 0, 1)
        self.rank, self.n = ranks.rank, ranks.size
        self.ranks = ranks

    def compute(self, step: int):
        return backend.to_numpy(super().compute(step))

    def reduce(self):
        """The sum of all gradients, on every rank; returns the squared norm of this
        rank's slice, so that all know the same norm."""
        self.ranks.add_up(self.gradient)
        own = self.gradient[part(self.gradient.size, self.rank, self.n)]
        return backend.to_numpy(squared_norm(own))

    def fingerprint(self) -> str:
        """That of the weights."""
        data = backend.to_numpy(self.work.flat.data)
        return hashlib.sha256(data).hexdigest()[:12]


def join() -> Ranks | None:
    """The ranks that a launcher has started with this one; None where it is alone.

    Raises UsageError where they cannot reach each other: each would train alone.
    """
    _, n = launcher.place()
    if n == 1:
        return None
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"{n} processes were started together, and each would train alone: mpi4py "
            f"cannot be used ({reason}): pip install 'minillm-lab[mpi]'"
        ) from None
    if n != MPI.COMM_WORLD.size:
        raise UsageError(
            f"{n} processes were started together, and each would train alone: mpi4py "
            f"sees {MPI.COMM_WORLD.size} of them: its MPI is not that of the launcher"
        )
    return Ranks(MPI.COMM_WORLD)


def first(ranks: Ranks | None, function):
    """What a function returns on rank 0, where alone it is called, or without ranks.
    Its error is raised on every rank."""
    if ranks is None:
        return function()
    answer = error = None
    if ranks.rank == 0:
        try:
            answer = function()
        except Exception as failure:
            error = launcher.everywhere(failure)
    answer, error = ranks.comm.bcast((answer, error))
    if error is not None:
        raise error
    return answer
