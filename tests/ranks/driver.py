"""Kill ranks and workers at random, and hold what they did against what is done in
peace.

    python tests/ranks/driver.py --minutes 2 --seed 0

Each round trains a small model in peace, and once on ranks of which one is killed or
asked to save at any time; the run goes on with another number of ranks until it has
come to its end. Its losses must be the same but for rounding, its newest checkpoint
always whole. Then a series is done on a cluster of Dask whose workers are killed and
added at any time: its table must be that of the local pool, to the last digit. A line
for each fault; exits 1 on a violation.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import sweep

from minillm.runs import checkpoint
from minillm.series import scale
from minillm.series.results import Results
from minillm.series.series_progress import Silent

TRAIN = [
    *(sys.executable, "-m", "minillm", "train", "--size=pico", "--context=16"),
    *("--tokenizer=chars", "--data=story.txt", "--batch=32", "--device=cpu"),
    *("--eval-every=100", "--keep=1", "--lr=0.001"),
]
EXITS = {signal.SIGKILL: {137}, signal.SIGUSR1: {143}, signal.SIGTERM: {143}}


def started(n: int, *options: str) -> subprocess.Popen:
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    start = ["mpiexec", "--oversubscribe", *root, "-n", str(n)] if n > 1 else []
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen([*start, *TRAIN, *options], **quiet)


def ranks_of(job: subprocess.Popen) -> list[int]:
    path = Path(f"/proc/{job.pid}/task/{job.pid}/children")
    try:
        return [int(number) for number in path.read_text("utf-8").split()]
    except FileNotFoundError:
        return []


def losses(run: str) -> list[float]:
    lines = Path(run, "metrics.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines]


def one_round(rng: random.Random) -> int:
    for run in ("alone", "run"):
        shutil.rmtree(run, ignore_errors=True)
    options = [
        f"--steps={rng.randint(200, 600)}",
        f"--save-every={rng.randint(5, 60)}",
    ]
    options.append(f"--seed={rng.randint(0, 99)}")
    assert started(1, *options, "--out=alone", "--workers=1").wait(120) == 0
    faults = 0
    while True:
        n, there = rng.choice([2, 3, 4]), Path("run", "run.json").exists()
        job = started(n, *options, "--out=run", *(["--resume"] if there else []))
        number = rng.choice(list(EXITS)) if faults < 4 else None
        time.sleep(rng.uniform(2.0, 6.0))
        ranks = ranks_of(job)
        if number and ranks:
            rank = rng.randrange(len(ranks))
            os.kill(ranks[rank], number)
        begun = time.monotonic()
        _, said = job.communicate(timeout=120)
        code = job.returncode
        newest = checkpoint.latest(Path("run", "checkpoints"))
        if code == 0:
            break
        faults += 1
        # A signal before the first step, or beside the end, ends a rank as it may.
        early = not number or code in {1, 130, 143, 128 + signal.SIGUSR1}
        assert code in EXITS.get(number, set()) or early, (code, said[-600:])
        print(
            f"{n} ranks, {signal.Signals(number).name} to rank {rank}: exit {code} "
            f"after {time.monotonic() - begun:.1f} s, newest {newest and newest.name}",
            flush=True,
        )
    ours, theirs = losses("run"), losses("alone")
    furthest = np.abs(np.subtract(ours, theirs)).max()  # float32, in another order
    print(f"losses within {furthest:.1e} of those in peace")
    assert furthest < 5e-3
    assert len(list(Path("run", "checkpoints").glob("*.damaged"))) == 0
    return faults


def table(series: str) -> list:
    result = json.loads(Path(series, "scale.json").read_text("utf-8"))
    return [size["losses"] for size in result["sizes"]]


class Killer(Silent):
    """Kills a worker of a cluster now and then. Dask gives a run up when it has lost
    four."""

    def __init__(self, rng: random.Random, cluster):
        self.rng = rng
        self.cluster = cluster
        self.faults = 0

    def tick(self) -> None:
        if self.faults == 3 or self.rng.random() > 0.1:
            return
        self.faults += 1
        with self.cluster.get_client() as client:
            numbers = list(client.run(os.getpid).values())
        if self.rng.random() < 0.5:
            self.cluster.scale(len(numbers) + 1)
        os.kill(self.rng.choice(numbers), signal.SIGKILL)
        print(f"a worker of {len(numbers)} is killed", flush=True)


def one_series(rng: random.Random) -> int:
    from distributed import LocalCluster

    shutil.rmtree("series", ignore_errors=True)
    if not Path("local").exists():
        sweep.write_words(Path("words.txt"))
        scale(sweep.LADDER, data="words.txt", out="local")
    quiet = {"dashboard_address": ":0", "silence_logs": 60}
    with LocalCluster(n_workers=2, threads_per_worker=1, **quiet) as cluster:
        killer = Killer(rng, cluster)
        how = {"executor": "dask", "scheduler": cluster.scheduler_address}
        scale(plan="local/plan.json", out="series", reporter=killer, **how)
    assert table("series") == table("local")
    return killer.faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    until, rounds, faults = time.monotonic() + 60 * given.minutes, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        story = "".join(f"The sea rose. She read a book of {i}.\n\n" for i in range(90))
        Path("story.txt").write_text(story, "utf-8")
        while time.monotonic() < until:
            faults += one_round(rng) + one_series(rng)
            rounds += 1
    print(f"{rounds} rounds, {faults} faults: all as in peace")


if __name__ == "__main__":
    Results.draw = lambda self, folder: []
    main()
