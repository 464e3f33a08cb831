"""Torture runs at random, and hold them against runs that nothing happened to.

    python tests/faults/driver.py --minutes 5 --seed 0

Each round trains a small model of a random architecture twice: once in peace, and once
as a process that is killed (SIGKILL, SIGINT, SIGTERM, SIGHUP, once or twice, at any
time), whose disk is full, and whose newest checkpoint is cut or loses a bit, until it
has come to its end all the same. Both must have the same weights, moments, metrics and
results, to the last bit. A line for each fault, a summary; exits 1 on a violation.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from minillm.runs import checkpoint

COMMON = {
    "tokenizer": "chars",
    "layers": 1,
    "width": 16,
    "heads": 2,
    "context": 24,
    "batch": 8,
    "dropout": 0.1,
    "device": "cpu",
}
KINDS = [
    ("clm", "gpt", "story.txt"),
    ("clm", "lstm", "story.txt"),
    ("mlm", "encoder", "story.txt"),
    ("mlm+nsp", "bert", "story.txt"),
    ("seq2seq", "encdec", "pairs.tsv"),
    ("classify", "gpt", "labels.tsv"),
    ("classify", "bert", "labels.tsv"),
]
OF_TIME = {
    *("seconds", "tokens_per_second"),
    *("decode_seconds_per_token", "peak_memory_bytes"),
}
EXITS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}
MOST_FAULTS = 8  # in a round: then it is left in peace


class Violation(Exception):
    """Something that must never happen."""


def write_texts(folder: Path) -> None:
    story = "".join(f"The sea rose. She read a book of {i}.\n\n" for i in range(60))
    rows = [("abcdefgh"[i % 5 : i % 5 + 2 + i % 3], i) for i in range(60)]
    (folder / "story.txt").write_text(story, "utf-8")
    pairs = "".join(f"{a}{i}\t{i}{a[::-1]}\n" for a, i in rows)
    (folder / "pairs.tsv").write_text(pairs, "utf-8")
    labels = "".join(f"{a} {i}\t{'even' if i % 2 else 'odd'}\n" for a, i in rows)
    (folder / "labels.tsv").write_text(labels, "utf-8")


def random_options(rng: random.Random, folder: Path) -> list[str]:
    objective, arch, text = rng.choice(KINDS)
    options = {
        **COMMON,
        "objective": objective,
        "arch": arch,
        "data": folder / text,
        "steps": rng.randint(20, 300),
        "save_every": rng.randint(1, 40),
        "eval_every": rng.randint(5, 60),
        "keep": rng.randint(1, 3),
        "accumulate": rng.choice([1, 2]),
        "workers": rng.choice(["1", "1", "2", "threads:2"]),
        "seed": rng.randint(0, 99),
    }
    return [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]


def start(argv: list[str], most_bytes: int | None = None) -> subprocess.Popen:
    def limit() -> None:
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    return subprocess.Popen(
        [sys.executable, "-m", "minillm", "train", *argv],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
        preexec_fn=limit,
    )


def end(process: subprocess.Popen, codes: set[int]) -> str:
    """Wait for it; the last line it said. Raises Violation for another exit code."""
    _, said = process.communicate(timeout=120)
    told = [line for line in said.splitlines() if line.startswith("minillm: ")]
    code = process.returncode
    if "Traceback" in said or code not in codes:
        raise Violation(f"exit {code} instead of {sorted(codes)}: {said[-400:]}")
    if code > 0 and len(told) != 1:
        raise Violation(f"exit {code} with {len(told)} lines: {said[-400:]}")
    return told[0] if told else ""


def signalled(rng: random.Random, argv: list[str], *numbers: int) -> str:
    """Send signals to the whole process group at some time of the run."""
    process = start(argv)
    time.sleep(rng.uniform(0.3, 2.5))
    for number in numbers:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        time.sleep(rng.choice([0, 0.01, 0.1]))
    # Before Python runs, and with SIGHUP also before the first step, it just ends.
    codes = {0, -numbers[0], EXITS.get(numbers[0], -numbers[0])}
    said = end(process, codes)
    names = " ".join(signal.Signals(number).name for number in numbers)
    return f"{names}: exit {process.returncode} {said[9:70]}"


def full_disk(rng: random.Random, argv: list[str]) -> str:
    n_bytes = int(10 ** rng.uniform(2, 5.3))
    return f"full at {n_bytes}: {end(start(argv, n_bytes), {0, 3})[9:70]}"


def damage(rng: random.Random, run: Path) -> str:
    """Cut a file of the newest checkpoint, or flip one of its bits."""
    newest = checkpoint.latest(run / "checkpoints")
    if newest is None:
        return "nothing to damage"
    file = newest / rng.choice([*checkpoint.FILES, "manifest.json"])
    content = bytearray(file.read_bytes())
    place = rng.randrange(len(content))
    if rng.random() < 0.5:
        del content[place:]
    else:
        content[place] ^= 1 << rng.randrange(8)
    file.write_bytes(content)
    return f"damaged {newest.name}/{file.name} at {place}"


def way_on(run: Path, argv: list[str]) -> list[str]:
    """What a user types next."""
    if (run / "run.json").exists():
        return ["--resume", "--out", str(run)]
    return [*argv, "--out", str(run)]


def finished(run: Path) -> bool:
    file = run / "run.json"
    return file.exists() and json.loads(file.read_text("utf-8"))["status"] == "finished"


def outcome(run: Path) -> dict:
    """All that must come out the same."""
    newest = checkpoint.latest(run / "checkpoints")
    lines = (run / "metrics.jsonl").read_text("utf-8").splitlines()
    results = json.loads((run / "run.json").read_text("utf-8"))["results"]
    return {
        "checkpoint": newest.name,
        "weights": (newest / "model.safetensors").read_bytes(),
        "moments": (newest / "optimizer.safetensors").read_bytes(),
        "metrics": [untimed(json.loads(line)) for line in lines],
        "results": untimed(results),
    }


def untimed(values: dict) -> dict:
    return {name: value for name, value in values.items() if name not in OF_TIME}


def left_over(run: Path) -> list[str]:
    """Files that are only there while something is written."""
    return [str(path) for path in run.rglob(".*") if path.name != ".lock"]


def torture(rng: random.Random, folder: Path, faults: Counter) -> None:
    """One round. Raises Violation."""
    argv = random_options(rng, folder)
    whole, run = folder / "whole", folder / "run"
    print(" ".join(argv))
    end(start([*argv, "--out", str(whole)]), {0})
    for _ in range(MOST_FAULTS):
        if finished(run):
            break
        kind = rng.choice(["kill", "kill", "signal", "twice", "full", "damage"])
        faults[kind] += 1
        numbers = [*EXITS] if kind != "kill" else [signal.SIGKILL]
        number = rng.choice(numbers)
        on = way_on(run, argv)
        match kind:
            case "kill" | "signal":
                told = signalled(rng, on, number)
            case "twice":
                told = signalled(rng, on, number, number)
            case "full":
                told = full_disk(rng, on)
            case "damage":
                told = damage(rng, run)
        print(f"  {told}", flush=True)
    end(start(way_on(run, argv)), {0})
    got, wanted = outcome(run), outcome(whole)
    if wrong := [name for name in wanted if got[name] != wanted[name]]:
        raise Violation(f"not the same: {', '.join(wrong)}")
    if left := left_over(run):
        raise Violation(f"left over: {', '.join(left)}")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=10**9, help="end after so many")
    given = parser.parse_args(argv)
    until = time.monotonic() + 60 * given.minutes
    faults, rounds = Counter(), 0
    while time.monotonic() < until and rounds < given.rounds:
        folder = Path(tempfile.mkdtemp(prefix="minillm-faults-"))
        write_texts(folder)
        try:
            torture(random.Random(f"{given.seed} {rounds}"), folder, faults)
        except Violation as error:
            print(f"VIOLATION in round {rounds}: {error}\nlook at {folder}")
            return 1
        shutil.rmtree(folder)
        rounds += 1
    told = ", ".join(f"{n} {name}" for name, n in sorted(faults.items()))
    print(f"{rounds} rounds, {faults.total()} faults ({told}): all came out the same")
    return 0


if __name__ == "__main__":
    sys.exit(main())
