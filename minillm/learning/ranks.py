"""Ranks: one model on several machines, by MPI.

A rank is a process that `mpiexec` or `srun` has started, one worker with weights of its
own. All ranks run the same program and make the same calls in the same order: nothing
else keeps their weights alike. (In `train`, rank 0 says what they are: `leader.py`.)
"""

import contextlib
import dataclasses
import hashlib
import signal
import threading
import time
from collections.abc import Iterator

from minillm import backend, launcher
from minillm.errors import MinillmError, UsageError, install, option
from minillm.learning.config import TrainConfig
from minillm.learning.data import EncodedCorpus
from minillm.learning.optimizer import squared_norm
from minillm.learning.worker import Worker, Workplace, part
from minillm.learning.worker_pool import SIGNALS


class Ranks:
    """The ranks of a communicator (`mpi4py.MPI.Comm`); this process is `rank` of
    `size`.

    n_here: those on this machine, `local` is this one's number among them. signal: one
    that some rank has heard. note: how they add up, where there is a choice. seconds:
    the time in `add_up`, with the wait for the slowest rank.
    """

    def __init__(self, comm):
        from mpi4py import MPI

        self.comm = comm
        self.rank, self.size = comm.rank, comm.size
        here = comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.local, self.n_here = here.rank, here.size
        here.Free()
        self.signal = None
        self.note = None
        self.seconds = 0.0

    def placed(self, config: TrainConfig) -> TrainConfig:
        """With the device of this rank."""
        device = backend.of_rank(config.device, self.local)
        return dataclasses.replace(config, device=device)

    def meet(self, config: TrainConfig, text: EncodedCorpus) -> TrainConfig:
        """`placed`, where all are to train by the same settings on the same text.
        Raises UsageError, on every rank, where they are not."""
        self.agree(**{**config.to_json(), "device": None})
        self.agree(data=text.sha256, tokenizer=text.tokenizer.sha256)
        config = self.placed(config)
        with backend.use(config.device) as device:
            if how := device.sums_by(self.comm):
                self.note = f"gradients of {self.size} ranks are added up by {how}"
        return config

    def check(self, workers: str, batch: int) -> None:
        """UsageError for more workers in a rank, or for a rank without a sequence."""
        if workers not in ("auto", "1"):
            raise UsageError(
                f"{option('workers', workers)}: each of the {self.size} ranks is one"
            )
        if self.size > batch:
            raise UsageError(
                f"batch {batch}: {self.size} ranks are more than its sequences"
            )

    def start(self, learner) -> "Ranks":
        """Begin with the weights, the moments and the next step of rank 0."""
        work = learner.work
        for array in (work.flat.data, *work.optimizer.state.values()):
            host = backend.to_numpy(array)
            self.comm.Bcast(host)
            array[...] = backend.of(array).asarray(host)
        learner.next = self.comm.bcast(learner.next)
        self.worker = RankWorker(work, self)
        return self

    def call(self, method: str, *arguments) -> list:
        """The answers of all workers, by rank, as `Workers.call`; on every rank."""
        answer = getattr(self.worker, method)(*arguments)
        told = self.comm.allgather((answer, self.signal))
        self.signal = next((signal for _, signal in told if signal), None)
        return [answer for answer, _ in told]

    def add_up(self, array) -> None:
        """Put the sum over all ranks in the place of an array, on every rank."""
        begun = time.perf_counter()
        backend.of(array).add_up(array, self.comm)
        self.seconds += time.perf_counter() - begun

    def agree(self, **facts) -> None:
        """Raise UsageError, on every rank, where one has other facts than rank 0."""
        found = self.comm.allgather(facts)
        for name in facts:
            _check_alike(name, [each.get(name) for each in found], UsageError)

    def check_alike(self) -> None:
        """Raise MinillmError where the weights of ranks have come apart."""
        _check_alike("weights", self.call("fingerprint"), MinillmError)


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


def _check_alike(name: str, values: list, error: type[MinillmError]) -> None:
    """values: one of each rank."""
    for rank, value in enumerate(values):
        if value != values[0]:
            raise launcher.everywhere(
                error(
                    f"rank {rank} has {name} {value} instead of {values[0]}, as rank "
                    f"0: all must agree"
                )
            )


def join(make=Ranks):
    """The ranks that a launcher has started with this one, by `make(communicator)`;
    None where it is alone.

    Raises UsageError where they cannot reach each other: each would train alone.
    """
    _, n = launcher.place()
    if n == 1:
        return None
    try:
        with _without_signals():
            from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"{n} processes were started together, and each would train alone: mpi4py "
            f"cannot be used ({reason}): {install('mpi')}"
        ) from None
    if n != MPI.COMM_WORLD.size:
        raise UsageError(
            f"{n} processes were started together, and each would train alone: mpi4py "
            f"sees {MPI.COMM_WORLD.size} of them: its MPI is not that of the launcher"
        )
    return make(MPI.COMM_WORLD)


@contextlib.contextmanager
def _without_signals() -> Iterator[None]:
    """Let signals wait. An import of MPI that one breaks off has started it, and leaves
    nothing by which `launcher.abort` could end it: its exit would wait for the others.

    The handlers wait, not the signals: one that is blocked here comes by another
    thread, and Python handles it in this one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python hands no signals over here
        return
    heard = []
    usual = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for number in dict.fromkeys(heard):
            signal.raise_signal(number)
