"""metrics.jsonl: one line for each logged step of a run."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from minillm.files import open_own, replacing, sync, writing
from minillm.kinds import AMOUNT, COUNT, NOT_NEGATIVE, NUMBER
from minillm.learning.config import TrainConfig
from minillm.reading import LINES, read_bytes

MOST_LINES = 2_000  # for a run of any length
# What a line may hold, as far as anybody looks at it: `kinds.check`.
KIND = {
    "step?": COUNT,
    "tokens?": AMOUNT,
    "loss?": NUMBER,
    "val_loss?": NUMBER,
    "seconds?": NOT_NEGATIVE,
}


def n_final_steps(steps: int) -> int:
    """The last steps, over which the training loss of a run is the mean: a twentieth of
    them, and at most 100."""
    return max(1, min(100, steps // 20))


class Metrics:
    """Writes the lines, and remembers the losses they are made of.

    A line has `step`, `tokens`, `loss` (the mean since the line before), `lr`,
    `grad_norm`, `tokens_per_second`, `seconds` (of training, so far), and `val_loss`
    where the model was evaluated.
    """

    def __init__(self, path: Path, config: TrainConfig, tokens_per_step: float):
        self.path = path
        self.config = config
        self.tokens_per_step = tokens_per_step
        self.every = max(1, config.steps // MOST_LINES)
        self.n_final = n_final_steps(config.steps)
        self.losses = []  # of the last steps
        self.logged = 0  # the step of the last line
        self.digest = hashlib.sha256()  # of all lines

    def add(
        self,
        n_done: int,
        loss: float,
        *,
        lr: float,
        grad_norm: float,
        seconds: float,
        val_loss: float | None = None,
    ) -> dict | None:
        """Take in the last of `n_done` steps; returns the line it wrote, or None."""
        self.losses.append(loss)
        del self.losses[: -max(self.every, self.n_final)]
        last = n_done == self.config.steps
        if n_done % self.every and not last and val_loss is None:
            return None
        tokens = round(n_done * self.tokens_per_step)
        line = {
            "step": n_done,
            "tokens": tokens,
            "loss": fmean(self.losses[self.logged - n_done :]),
            "lr": lr,
            "grad_norm": grad_norm,
            "tokens_per_second": tokens / max(seconds, 1e-9),
            "seconds": seconds,
        }
        if val_loss is not None:
            line["val_loss"] = val_loss
        self.logged = n_done
        written = json.dumps(line).encode("utf-8") + b"\n"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with writing(self.path), os.fdopen(open_own(self.path, flags), "ab") as file:
            file.write(written)
        self.digest.update(written)
        return line

    def final_loss(self) -> float:
        """The mean over the last steps of the run: see `n_final_steps`."""
        return fmean(self.losses[-self.n_final :])

    def state(self) -> dict:
        """What a checkpoint keeps, so that the lines after it come out the same. Those
        before it are on the disk by then."""
        if self.logged:
            with writing(self.path):
                sync(self.path)
        return {
            "losses": self.losses,
            "logged": self.logged,
            "metrics_sha256": self.digest.hexdigest(),
        }

    def go_back(self, state: dict) -> bool:
        """Continue from a checkpoint: the lines after it will be written again. Returns
        whether those before it are as they were."""
        self.losses = list(state["losses"])
        self.logged = state["logged"]
        kept = []
        if self.path.exists():
            for line in read_bytes(self.path, LINES).splitlines():
                step = _step_of(line)
                if step is not None and step <= self.logged:
                    kept.append(line + b"\n")
        with replacing(self.path) as temporary:
            temporary.write_bytes(b"".join(kept))
        self.digest = hashlib.sha256(b"".join(kept))
        known = state.get("metrics_sha256")  # not in checkpoints of before
        return known in (None, self.digest.hexdigest())


def _step_of(line: bytes) -> int | None:
    """The step of a line; None for what is none, as one that a crash has cut off."""
    try:
        values = json.loads(line)
        numbers = [values[name] for name in ("step", "tokens", "loss")]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return numbers[0] if all(isinstance(n, int | float) for n in numbers) else None


class Stopwatch:
    """Seconds of training, in this session and those before."""

    def __init__(self, seconds_before: float):
        self._began = time.perf_counter() - seconds_before

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """What happens inside, an evaluation, does not count."""
        begun = time.perf_counter()
        yield
        self._began += time.perf_counter() - begun
