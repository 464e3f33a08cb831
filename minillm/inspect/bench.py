"""How fast this machine trains: tokens and FLOPs per second, beside its matmul peak."""

import time

import numpy as np

from minillm import backend
from minillm.errors import UsageError
from minillm.models import count, size
from minillm.text import Windows, train_tokenizer
from minillm.training.config import TrainConfig
from minillm.training.process import keep_freed_memory, one_blas_thread
from minillm.training.replica import Replica, set_up
from minillm.training.team import Team, choose_workers

VOCAB = 1024


def bench(
    sizes: list[str] | None = None,
    *,
    layers: int | None = None,
    width: int | None = None,
    heads: int | None = None,
    vocab: int = VOCAB,
    batch: int | None = None,
    context: int | None = None,
    seconds: float = 5.0,
    device: str = "auto",
    workers: str = "auto",
) -> dict:
    """Measure training steps (forward, backward, AdamW) of each size on random tokens.

    Give names of sizes (by default all that train in minutes on a CPU), or `layers` and
    `width`. Each is measured for `seconds`. Returns the keys of `bench --json`: rows
    with tokens/s, step times and FLOP/s, and `matmul_peak_flops`. Raises UsageError.
    """
    if not seconds > 0:
        raise UsageError(f"--seconds must be positive, got {seconds}")
    if layers is not None or width is not None:
        shapes = [(None, TrainConfig(layers=layers, width=width, heads=heads))]
    else:
        names = sizes or ["pico", "nano", "micro", "tiny", "mini"]
        shapes = [(name, TrainConfig(size=name)) for name in map(_known, names)]
    with backend.use(device) as where, one_blas_thread():
        keep_freed_memory()
        rows = []
        for name, config in shapes:
            config = TrainConfig.from_json(
                config.to_json()
                | {"batch": batch, "context": context, "workers": workers}
            ).resolve()
            rows.append({"size": name, **_measure(config, vocab, seconds, where)})
        kind, n = choose_workers(workers, 10**9, where)
        peak = matmul_peak() * (n if where.kind == "cpu" else 1)
        for row in rows:
            row["fraction_of_matmul_peak"] = row["flops_per_second"] / peak
        return {
            "rows": rows,
            "matmul_peak_flops": peak,
            "device": where.name,
            "workers": {"kind": kind, "n": n},
        }


def _known(name: str) -> str:
    size(name)
    return name


def _measure(config: TrainConfig, vocab: int, seconds: float, where) -> dict:
    kind, n = workers = choose_workers(config.workers, config.batch, where)
    shape = config.model(vocab)
    tokens = config.tokens_per_step
    length = 4 * tokens + config.context + 1
    ids = np.random.default_rng(0).integers(0, vocab, length).astype(np.int32)
    work = set_up(
        config,
        shape,
        workers,
        windows=Windows(ids, config.context, seed=0),
        tokenizer=train_tokenizer("bytes", ""),
    )
    taken = []
    with Team(lambda rank: Replica(work, rank, n), kind, n) as team:
        until = None
        step = 0
        while until is None or time.perf_counter() < until or len(taken) < 3:
            begun = time.perf_counter()
            team.call("compute", step)
            team.call("reduce")
            team.call("update", step, 1e-4, 1.0)
            where.synchronize()
            step += 1
            if step == 2:  # the first steps take their memory from the system
                until = time.perf_counter() + seconds
            elif step > 2:
                taken.append(time.perf_counter() - begun)
    median = float(np.median(taken))
    return {
        "n_layers": shape.n_layers,
        "d_model": shape.d_model,
        "n_heads": shape.n_heads,
        "vocab_size": vocab,
        "batch": config.batch,
        "context": config.context,
        "parameters": count.parameters(shape)["total"],
        "tokens_per_second": tokens / median,
        "step_seconds": {"p25": float(np.percentile(taken, 25)), "median": median},
        "flops_per_second": count.flops_per_token(shape) * tokens / median,
        "peak_memory_bytes": where.memory()["peak"],
        "peers": {},
    }


def matmul_peak(n: int = 768, repeats: int = 12) -> float:
    """FLOPs per second of one thread (or the device) on square float32 products."""
    where = backend.current()
    a = where.xp.ones((n, n), dtype=where.xp.float32)
    best = 0.0
    for _ in range(repeats):
        begun = time.perf_counter()
        a @ a
        where.synchronize()
        best = max(best, 2 * n**3 / (time.perf_counter() - begun))
    return best
