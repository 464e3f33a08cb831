"""Contest of engines: the same work in turns, each engine in its own process.

The speed of a laptop drifts by more than two engines differ, so separate measurements
mean little. Here they take turns within seconds, and the ratio of each turn is
reported, with the range of the ratios.
"""

import contextlib
import importlib.util
import multiprocessing
import signal
import threading
import time
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import resource_tracker

import numpy as np

from minillm.children import safe_path
from minillm.errors import MinillmError, UsageError, option
from minillm.learning.config import OBJECTIVE
from minillm.models import ModelConfig
from minillm.text import MASK, OBJECTIVES, SEQ2SEQ_SPECIALS, Batch, train_tokenizer

# name -> the module of this package with its `Contender`, and the package to install
PEERS = {
    "torch": ("pytorch", "torch"),
    "torch-compile": ("pytorch", "torch"),
    "jax": ("jaxlm", "jax"),
}
WITH_EVERY_ARCH = ("torch", "torch-compile")
CHECKED_STEPS = 10
# Relative: far above the effect of another order of summation over ten steps.
SAME_LOSS = 1e-4


@dataclass(frozen=True)
class Job:
    """The work of every contender: train this model on these tokens in turn, from the
    same initial weights, or decode with it.

    batches: (n, B, T+1) token ids. objective: what is to be predicted of them.
    """

    shape: ModelConfig
    batches: np.ndarray
    workers: tuple[str, int]
    device: str = "cpu"
    objective: str = "clm"
    lr: float = 1e-3
    weight_decay: float = 0.1
    seed: int = 0

    @cached_property
    def tokenizer(self):
        """One with the special tokens that objectives put into a batch."""
        return train_tokenizer("chars", "ab", specials=(*SEQ2SEQ_SPECIALS, MASK))

    def examples(self, step: int):
        """What a step's batch is made of: windows, or as a source and its target the
        beginning and the end of each."""
        windows = self.batches[step % len(self.batches)]
        if OBJECTIVES[self.objective].kind == "pairs":
            return [(window[:-1], window[1:]) for window in windows]
        return windows

    def batch(self, step: int) -> Batch:
        """The batch of a step: the very one that a Learner makes."""
        rng = np.random.default_rng((self.seed, step, OBJECTIVE))
        return OBJECTIVES[self.objective].batch(
            self.examples(step),
            rng=rng,
            tokenizer=self.tokenizer,
            context=self.shape.context,
        )


class Rival:
    """A contender in its own process, asked over a pipe.

    A fresh process, not a forked one: thread pools and allocators do not mix, and its
    memory is its own. Raises MinillmError when it fails, with its own words.
    """

    def __init__(self, name: str, job: Job):
        self.name = name
        module, self._needs = PEERS.get(name, ("ours", "minillm"))
        context = multiprocessing.get_context("spawn")
        self._connection, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(name, module, job, there))
        try:
            with safe_path(), _deaf():
                self._process.start()
            there.close()
            self._hear()
        except BaseException:  # Ctrl-C too: no one else could close it
            self.close()
            raise

    def ask(self, method: str, *arguments):
        with contextlib.suppress(OSError):  # `_hear` then raises the reason
            self._connection.send((method, arguments))
        return self._hear()

    def _hear(self):
        try:
            answer, error = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            raise MinillmError(
                f"{self.name}: its process died "
                f"(exit code {self._process.exitcode}): out of memory?"
            ) from None
        if error is not None:
            raise MinillmError(f"{self.name}: {error}")
        return answer

    def close(self) -> None:
        self._connection.close()
        self._process.join(2)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def __enter__(self) -> "Rival":
        return self

    def __exit__(self, *_):
        self.close()


def check_peers(names, arch: str = "gpt") -> None:
    """Raises UsageError for a peer that is unknown, not installed, or without this
    architecture."""
    for name in names:
        if name not in PEERS:
            raise UsageError(
                f"{option('against', name)}: choose from {', '.join(PEERS)}, "
                f"separated by commas"
            )
        if arch != "gpt" and name not in WITH_EVERY_ARCH:
            raise UsageError(
                f"{option('against', name)} has arch gpt alone: for {arch} choose "
                f"{' or '.join(WITH_EVERY_ARCH)}"
            )
    for name in names:
        package = PEERS[name][1]
        if importlib.util.find_spec(package) is None:
            raise UsageError(
                f"{option('against', name)}: not installed: pip install {package}"
            )


def contest(job: Job, peers, *, decode: bool, seconds: float, rounds: int = 5) -> dict:
    """Let this engine and its peers take turns; each gets `seconds` in all.

    Returns {name: {"seconds": [median step of each round], "steps": [all step times],
    "losses": [...], "peak_memory_bytes"}}, this engine under "minillm".
    """
    work = "decode" if decode else "train"
    with contextlib.ExitStack() as stack:
        names = ("minillm", *peers)
        rivals = [stack.enter_context(Rival(name, job)) for name in names]
        found = {rival.name: {"rounds": [], "steps": []} for rival in rivals}
        for rival in rivals:
            # Warms up too: the first steps take their memory from the system.
            found[rival.name]["losses"] = rival.ask(work, seconds, CHECKED_STEPS)[1]
        for _ in range(rounds):
            for rival in rivals:
                steps, _ = rival.ask(work, seconds / rounds)
                found[rival.name]["rounds"].append(float(np.median(steps)))
                found[rival.name]["steps"] += steps
        for rival in rivals:
            found[rival.name]["peak_memory_bytes"] = rival.ask("memory")
        return found


def compare(found: dict) -> dict:
    """{peer: {our speed as a multiple of the peer's, its spread over the rounds, …}}.

    Raises MinillmError when a peer's losses are others than ours: then it did not do
    the same work.
    """
    ours = found["minillm"]
    peers = {name: theirs for name, theirs in found.items() if name != "minillm"}
    for name, theirs in peers.items():
        # NaN is no agreement
        if not _difference(theirs["losses"], ours["losses"]) <= SAME_LOSS:
            raise MinillmError(
                f"{name} does not compute the same: its losses over the first steps "
                f"are {theirs['losses'][0]:.6f} … {theirs['losses'][-1]:.6f}, ours "
                f"{ours['losses'][0]:.6f} … {ours['losses'][-1]:.6f}"
            )
    return {
        name: {
            "ratio": float(np.median(_ratios(theirs, ours))),
            "ratio_range": [min(_ratios(theirs, ours)), max(_ratios(theirs, ours))],
            "step_seconds": float(np.median(theirs["steps"])),
            "peak_memory_bytes": theirs["peak_memory_bytes"],
            "loss_difference": _difference(theirs["losses"], ours["losses"]),
        }
        for name, theirs in peers.items()
    }


def _ratios(theirs: dict, ours: dict) -> list[float]:
    return [t / o for t, o in zip(theirs["rounds"], ours["rounds"], strict=True)]


def _difference(theirs, ours) -> float:
    """The largest relative difference of the losses over the first steps."""
    n = min(len(theirs), len(ours))
    theirs, ours = np.array(theirs[:n]), np.array(ours[:n])
    return float(np.max(np.abs(theirs - ours) / np.abs(theirs)))


@contextlib.contextmanager
def _deaf():
    """Block Ctrl-C in processes started here, also while they import; the parent, which
    decides, gets it at the end."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # else `start` does, and hears again of Ctrl-C
    # A thread of BLAS may take the signal in spite of the mask, and Python would then
    # raise here, in the middle of a start: it is put off, and so is SIGTERM.
    heard, handlers = [], {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            handlers[number] = signal.signal(number, lambda n, _: heard.append(n))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if heard:
            signal.raise_signal(heard[0])


def _serve(name: str, module: str, job: Job, connection) -> None:
    """The process of a `Rival`: makes the contender and answers requests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where `_deaf` could do nothing
    try:
        made = importlib.import_module(f"minillm.inspect.bench.{module}")
        with made.Contender(name, job) as contender:
            connection.send((None, None))
            step = 0
            while True:
                method, arguments = connection.recv()
                if method == "memory":
                    answer = contender.memory()
                else:
                    answer = _run(getattr(contender, method), step, *arguments)
                    step += len(answer[0])
                connection.send((answer, None))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    except Exception as error:
        message = f"{type(error).__name__}: {error}".splitlines()[0]
        connection.send((None, message))
    finally:
        connection.close()


def _run(work, first: int, seconds: float, most: int = 10**9) -> tuple[list, list]:
    """Call `work(step)` for some seconds, twice at least: the time of each step, and
    its result."""
    times, values = [], []
    until = time.perf_counter() + seconds
    while len(times) < 2 or (len(times) < most and time.perf_counter() < until):
        begun = time.perf_counter()
        values.append(work(first + len(times)))
        times.append(time.perf_counter() - begun)
    return times, values
