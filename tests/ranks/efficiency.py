"""What ranks gain beside threads and processes, and what an Allreduce costs.

    python tests/ranks/efficiency.py --size nano --rounds 3

In turns, so that whatever else the machine does meets all alike; of each, the fastest
twentieth of its steps, so that it matters least. The last column is the formula
2(p−1)/p · bytes/bandwidth + latency, with those of two ranks, which it takes from an
Allreduce of 8 bytes and one of the gradient.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

from minillm import Learner, TrainConfig, prepare
from minillm.backend.memory import keep_freed_memory
from minillm.learning.ranks import join

KINDS = (
    *((1, "1"), (1, "threads:2"), (1, "processes:2")),
    *((2, "1"), (4, "1")),
)  # (ranks, --workers)


def fast(seconds: list[float]) -> float:
    return float(np.quantile(seconds, 0.05))


def measure(size: str, workers: str, seconds: float) -> None:
    """One kind, on this process or on every rank; rank 0 prints."""
    keep_freed_memory()
    ranks = join()
    options = {"size": size, "data": "text.txt", "tokenizer": "bytes", "device": "cpu"}
    config = TrainConfig(**options, steps=100_000).resolve()
    steps, sums, small = [], [], []
    with Learner(config, prepare(config), workers=workers, ranks=ranks) as learner:
        gradient = learner.work.gradients[0]
        end, goes_on = time.monotonic() + seconds, True
        while goes_on:
            begun = time.perf_counter()
            learner.step(learner.next)
            steps.append(time.perf_counter() - begun)
            goes_on = time.monotonic() < end
            if ranks:
                for times, array in ((sums, gradient), (small, np.zeros(1))):
                    ranks.comm.Barrier()
                    before = ranks.seconds
                    ranks.add_up(array)
                    times.append(ranks.seconds - before)
                goes_on = ranks.comm.bcast(goes_on)
    if ranks is None or ranks.rank == 0:
        found = {"step": fast(steps[3:]), "tokens": config.tokens_per_step}
        if ranks:
            found |= {"sum": fast(sums), "latency": fast(small)}
        print(json.dumps({**found, "bytes": gradient.nbytes}))


def run(n: int, *arguments: str) -> dict:
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    start = ["mpiexec", "--oversubscribe", *root, "-n", str(n)] if n > 1 else []
    line = [*start, sys.executable, os.path.abspath(__file__), "--measure", *arguments]
    done = subprocess.run(line, capture_output=True, check=True, timeout=300)
    return json.loads(done.stdout)


def main(size: str, rounds: int, seconds: float) -> None:
    best = {}
    for _ in range(rounds):
        for n, workers in KINDS:
            found = run(n, workers, "--size", size, "--seconds", str(seconds))
            kept = best.setdefault((n, workers), found)
            for name in ("step", "sum", "latency"):
                if name in found:
                    kept[name] = min(kept[name], found[name])
    alone, two = best[KINDS[0]]["step"], best[2, "1"]
    bandwidth = two["bytes"] / max(two["sum"] - two["latency"], 1e-9)
    print(f"{size}: a gradient of {two['bytes']:,} bytes, {bandwidth / 1e9:.1f} GB/s")
    for (n, workers), found in best.items():
        kind = f"{n} ranks" if n > 1 else f"--workers {workers}"
        line = f"{kind:24}{found['tokens'] / found['step']:10,.0f} tokens/s"
        line += f"{alone / found['step']:8.2f} ×"
        if n > 1:
            formula = 2 * (n - 1) / n * two["bytes"] / bandwidth + two["latency"]
            line += f"   Allreduce {1e6 * found['sum']:,.0f} µs"
            line += (
                f" ({found['sum'] / found['step']:.1%}), formula {1e6 * formula:.0f}"
            )
        print(line, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="nano")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.size, given.measure, given.seconds)
    else:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            with open("text.txt", "w", encoding="utf-8") as text:
                text.write("She read a book of the sea. " * 40_000)
            main(given.size, given.rounds, given.seconds)
