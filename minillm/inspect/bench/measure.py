"""`bench`: training steps or decoded tokens per second, size by size."""

import time
from dataclasses import replace

import numpy as np

from minillm import backend
from minillm.backend import Backend, xp
from minillm.backend.products import threads
from minillm.errors import UsageError, option, typed
from minillm.inspect.bench import contest
from minillm.inspect.bench.contest import Job
from minillm.inspect.bench.profile import Profile
from minillm.learning.config import TrainConfig
from minillm.learning.worker_pool import choose_workers, missed_wish
from minillm.models import ARCHITECTURES, count, size
from minillm.models.architectures import architecture
from minillm.ops import linear
from minillm.tensor import Tensor, no_grad

VOCAB = 1024
SIZES = ("pico", "nano", "micro", "tiny", "mini")  # those a CPU trains in minutes
GPU_SIZES = ("nano", "tiny", "mini", "small", "base")
GPU_TOKENS = 16_384  # of a step: a smaller one leaves a GPU idle
N_BATCHES = 4  # different ones, in turn


def bench(
    sizes: list[str] | None = None,
    *,
    arch: str = "gpt",
    layers: int | None = None,
    width: int | None = None,
    heads: int | None = None,
    vocab: int = VOCAB,
    batch: int | None = None,
    context: int | None = None,
    decode: bool = False,
    against: tuple[str, ...] = (),
    seconds: float | None = None,
    device: str = "auto",
    workers: str = "auto",
    note=None,
) -> dict:
    """Measure training steps (forward, backward, AdamW) of each size on random tokens,
    or with `decode` the writing of single tokens by one thread: of one sequence, or of
    `batch` beside each other.

    Give names of sizes (by default all that train in minutes on a CPU, or on a GPU some
    from nano to base, with 16 k tokens in a step where they fit), or `layers` and
    `width`. Each is measured for `seconds` (5, on a GPU 3), as long as each of the
    peers that it is set `against` ("torch", "torch-compile", "jax"): they get the same
    weights and batches, as many threads as there are workers, and take turns;
    `note(text)` announces each
    contest. Returns the keys of `bench --json`: rows with tokens/s, step times, FLOP/s,
    memory and, for each peer, the ratio of our tokens/s to its and the least and
    largest ratio of a turn; and `matmul_peak_flops`. Raises UsageError, and
    MinillmError when a peer fails or computes another loss.
    """
    if seconds is not None and not seconds > 0:
        raise UsageError(f"{option('seconds')} must be positive, got {seconds}")
    contest.check_peers(against, arch)
    if decode and not continues_alone(arch):
        raise UsageError(
            f"{option('decode', True)}: arch {arch} does not go on with a text by "
            f"itself: choose {', '.join(filter(continues_alone, ARCHITECTURES))}"
        )
    rows = []
    with backend.use(device) as where, threads(1):
        on_gpu = where.kind != "cpu"
        seconds = seconds or (3.0 if on_gpu else 5.0)
        if on_gpu and not sizes and layers is width is heads is None:
            sizes = GPU_SIZES
        own = {"arch": arch, "vocab": vocab, "batch": batch, "context": context}
        named = _shapes(sizes, layers, width, heads, **own)
        if on_gpu and batch is None:
            n = 1 + len(against)
            named = [(name, _filling(c, vocab, where, n)) for name, c in named]
        n_most = 1
        for name, config in named:
            if note and against:
                note(f"{name or 'this shape'}: this engine and {', '.join(against)}")
            n_sequences = (batch or 1) if decode else config.batch
            job = _job(config, vocab, where, "1" if decode else workers, n_sequences)
            wish = missed_wish(workers, job.workers[0])
            if note and wish:
                note(wish)
            n_most = max(n_most, job.workers[1])
            found = contest.contest(job, against, decode=decode, seconds=seconds)
            rows.append({"size": name, **_row(job, found, decode)})
        peak = matmul_peak(8192) if on_gpu else matmul_peak() * n_most
        for row in rows:
            row["fraction_of_matmul_peak"] = row["flops_per_second"] / peak
        return {
            "rows": rows,
            "work": "decode" if decode else "train",
            "arch": arch,
            "matmul_peak_flops": peak,
            "device": where.name,
            "workers": {"kind": job.workers[0], "n": n_most},
        }


def profile(
    name: str | None = None,
    *,
    arch: str = "gpt",
    layers: int | None = None,
    width: int | None = None,
    heads: int | None = None,
    vocab: int = VOCAB,
    batch: int | None = None,
    context: int | None = None,
    steps: int = 20,
    device: str = "auto",
) -> dict:
    """Where the time of a training step goes, op by op, in one worker.

    Returns {"rows": [{`op`, `body`, `calls`, `forward_seconds`, `backward_seconds`,
    `share`}], `step_seconds`, `size`, …}. Raises UsageError.
    """
    from minillm.inspect.bench.ours import Contender

    sizes = [name] if name else None
    own = {"arch": arch, "vocab": vocab, "batch": batch, "context": context}
    ((name, config), *_) = _shapes(sizes, layers, width, heads, **own)
    with backend.use(device) as where:
        job = _job(config, vocab, where, "1", config.batch)
        with Contender("minillm", job) as contender:
            for step in range(3):
                contender.train(step)
            with Profile() as found:
                for step in range(3, 3 + steps):
                    contender.train(step)
            rows = found.rows(steps)
    return {
        "rows": rows,
        "step_seconds": found.total / steps,
        **_described(job, name),
        "device": where.name,
    }


def matmul_peak(n: int = 768, repeats: int = 11) -> float:
    """FLOPs per second of one thread (or the device) on square float32 products."""
    a = Tensor(xp.ones((n, n), dtype=xp.float32))
    with no_grad():
        return 2 * n**3 / fastest(lambda: linear(a, a, None), repeats)


def fastest(work, repeats: int = 5) -> float:
    """The least seconds of a few calls, after one that warms up, each awaited."""
    device = backend.current()
    times = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        work()
        device.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def continues_alone(arch: str) -> bool:
    """Whether a model of it goes on with a text, and needs no source for that."""
    return "clm" in architecture(arch).objectives


def _shapes(sizes, layers, width, heads, **own) -> list:
    """[(name or None, TrainConfig)]; `own`: its other settings."""
    own["objective"] = architecture(own["arch"]).objectives[0]
    if layers is None and width is None and heads is None:
        for name in sizes or ():
            size(name)  # a UsageError that lists the names
        return [
            (name, TrainConfig(size=name, **own).resolve()) for name in sizes or SIZES
        ]
    if sizes:
        named = option("size" if typed() else "sizes")
        raise UsageError(f"give {named} or a shape of your own, not both")
    if layers is None or width is None:
        raise UsageError(
            f"a shape of your own needs {option('layers')} and {option('width')}"
        )
    config = TrainConfig(n_layers=layers, d_model=width, n_heads=heads, **own)
    return [(None, config.resolve())]


def _filling(
    config: TrainConfig, vocab: int, where: Backend, n_rivals: int
) -> TrainConfig:
    """With a batch of 16 k tokens, or the largest half of a half of it for which so
    many rivals have room on the device beside each other."""
    room = 0.9 * where.total_memory() / n_rivals
    shape = config.shape(vocab)
    batch = max(1, GPU_TOKENS // config.context)
    while batch > 1 and count.cuda_memory_bytes(shape, batch) > room:
        batch //= 2
    return replace(config, batch=batch, accumulate=1)


def _job(config, vocab: int, where: Backend, workers: str, n_sequences: int) -> Job:
    shape = (N_BATCHES, n_sequences, config.context + 1)
    return Job(
        shape=config.shape(vocab),
        batches=np.random.default_rng(0).integers(0, vocab, shape).astype(np.int32),
        workers=choose_workers(workers, n_sequences, where),
        device=where.name,
        objective=config.objective,
    )


def _row(job: Job, found: dict, decode: bool) -> dict:
    ours = found["minillm"]
    median = float(np.median(ours["steps"]))
    shape = job.shape
    n_tokens = job.batches.shape[1] * (1 if decode else shape.context)
    flops = count.flops_per_token(shape) / (3 if decode else 1)  # forward: a third
    peers = contest.compare(found)
    for peer in peers.values():
        peer["tokens_per_second"] = n_tokens / peer.pop("step_seconds")
    return {
        **_described(job),
        "parameters": count.parameters(shape)["total"],
        "tokens_per_second": n_tokens / median,
        "step_seconds": {
            "p25": float(np.percentile(ours["steps"], 25)),
            "median": median,
        },
        "flops_per_second": flops * n_tokens / median,
        "peak_memory_bytes": ours["peak_memory_bytes"],
        "peers": peers,
    }


def _described(job: Job, name: str | None = None) -> dict:
    shape = job.shape
    return {
        "arch": shape.arch,
        "n_layers": shape.n_layers,
        "d_model": shape.d_model,
        "n_heads": shape.n_heads,
        "vocab_size": shape.vocab_size,
        "batch": job.batches.shape[1],
        "context": shape.context,
    } | ({"size": name} if name else {})
