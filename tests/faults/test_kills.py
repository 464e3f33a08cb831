"""Killed between steps, again and again, and resumed: to the last bit the same run."""

import json
import os
import select
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minillm import TrainConfig, train
from minillm.runs import checkpoint
from minillm.runs.logbook import Silent

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")

STORY = "".join(f"The sea rose. She read a book of {i}.\n\n" for i in range(60))
ROWS = [("abcdefgh"[i % 5 : i % 5 + 2 + i % 3], i) for i in range(60)]
TEXTS = {
    "story.txt": STORY,
    "pairs.tsv": "".join(f"{a}{i}\t{i}{a[::-1]}\n" for a, i in ROWS),
    "labels.tsv": "".join(f"{a} {i}\t{'even' if i % 2 else 'odd'}\n" for a, i in ROWS),
}
OPTIONS = {
    "tokenizer": "chars",
    "n_layers": 1,
    "d_model": 16,
    "n_heads": 2,
    "context": 24,
    "batch": 8,
    "accumulate": 2,
    "steps": 9,
    "save_every": 2,
    "eval_every": 4,
    "keep": 1,
    "dropout": 0.1,
    "device": "cpu",
}
CASES = [
    ("clm", "gpt", "story.txt", "1"),
    ("clm", "gpt", "story.txt", "2"),
    ("clm", "lstm", "story.txt", "1"),
    ("mlm", "encoder", "story.txt", "threads:2"),
    ("mlm+nsp", "bert", "story.txt", "2"),
    ("seq2seq", "encdec", "pairs.tsv", "1"),
    ("classify", "gpt", "labels.tsv", "2"),
    ("classify", "bert", "labels.tsv", "1"),
]
OF_TIME = ("tokens_per_second", "seconds", "decode_seconds_per_token")


class Killing(Silent):
    """Kills the process at a step: nothing can be tidied up."""

    def __init__(self, at: int):
        self.at = at

    def step(self, line: dict) -> None:
        if line["step"] == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def in_a_child(work: Callable[[], object]) -> int:
    """Do it in a forked process, and wait for that and all that it forked; its exit
    status, or minus the signal that ended it."""
    ours, theirs = os.pipe()  # theirs is closed when the last of them has gone
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # BLAS has idle threads
        child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(getattr(error, "exit_code", 1))
    os.close(theirs)
    _, status = os.waitpid(child, 0)
    gone, _, _ = select.select([ours], [], [], 10)
    os.close(ours)
    assert gone, "its workers have outlived it"
    return os.waitstatus_to_exitcode(status)


def outcome(folder: Path) -> dict:
    """What must come out the same."""
    newest = checkpoint.latest(folder / "checkpoints")
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    record = json.loads((folder / "run.json").read_text("utf-8"))

    def untimed(values: dict) -> dict:
        left = (*OF_TIME, "peak_memory_bytes")
        return {k: v for k, v in values.items() if k not in left}

    return {
        "step": newest.name,
        "weights": (newest / "model.safetensors").read_bytes(),
        "moments": (newest / "optimizer.safetensors").read_bytes(),
        "metrics": [untimed(json.loads(line)) for line in lines],
        "results": untimed(record["results"]),
    }


@pytest.mark.parametrize(
    ("objective", "arch", "text", "workers"),
    [
        pytest.param(
            *case,
            id=f"{case[1]} {case[0]} with {case[3]}",
            marks=() if i in (3, 7) else pytest.mark.slow,
        )
        for i, case in enumerate(CASES)
    ],
)
def test_killed_and_resumed_is_uninterrupted(tmp_path, objective, arch, text, workers):
    (tmp_path / text).write_text(TEXTS[text], "utf-8")

    def run(name: str, **how) -> None:
        config = TrainConfig(
            objective=objective,
            arch=arch,
            data=str(tmp_path / text),
            out=str(tmp_path / name),
            workers=workers,
            **OPTIONS,
        )
        train(config, draw=False, **how)

    assert in_a_child(lambda: run("whole")) == 0
    stops = np.random.default_rng().choice(np.arange(1, 10), 3, replace=False)
    for i, stop in enumerate(sorted(stops)):
        killed = in_a_child(
            lambda: run("parts", resume=i > 0, reporter=Killing(stop))  # noqa: B023
        )
        assert killed == -signal.SIGKILL, stops
    assert in_a_child(lambda: run("parts", resume=True)) == 0
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole"), stops
