"""The logbook of a run: what is written into its folder while it trains."""

import math
import shlex
import signal
from pathlib import Path

from minillm.backend import to_numpy
from minillm.errors import DataError, DivergedError, Interrupted
from minillm.training.replica import Workplace, batch_at
from minillm.training.run_folder import checkpoint
from minillm.training.run_folder.files import replacing, write_json
from minillm.training.run_folder.metrics import Metrics, Stopwatch
from minillm.training.run_folder.run import read_record
from minillm.training.schedule import branch_step, learning_rate


class Logbook:
    """Keeps run.json, metrics.jsonl and the checkpoints of a run.

    `step` counts the steps that are done; `watch`, once started, their seconds.
    """

    def __init__(self, folder: Path, record: dict, work: Workplace, reporter):
        self.folder = folder
        self.record = record
        self.work = work
        self.reporter = reporter
        self.checkpoints = folder / checkpoint.FOLDER
        self.metrics = Metrics(
            folder / "metrics.jsonl", work.config, work.tokens_per_step
        )
        self.branch = branch_step(work.config)
        self.step = 0
        self.best = None  # the evaluation with the lowest loss: {"step", "val_loss"}
        self.earlier = 0.0  # seconds of the sittings before

    def begin(self) -> None:
        """Write what is known before the first step."""
        with replacing(self.folder / "tokenizer.json") as temporary:
            self.work.tokenizer.save(temporary)
        self._write_record("running")

    def go_on(self) -> None:
        """Go back to the newest whole checkpoint, or to the start where there is none.

        Raises DataError where it belongs to another model, text or tokenizer.
        """
        newest = checkpoint.latest(self.checkpoints)
        if newest is None:
            self.reporter.note(f"{self.folder}: no whole checkpoint: from the start")
            begun = hashes(read_record(self.folder))
            state = {"step": 0, "seconds": 0.0, "losses": [], "logged": 0, **begun}
        else:
            state = checkpoint.load(newest, self.work.flat, self.work.optimizer)
        for name, sha256 in hashes(self.record).items():
            if state[name] != sha256:
                what = name.removesuffix("_sha256")
                raise DataError(
                    f"{newest or self.folder}: was trained with another {what}"
                )
        self.step = state["step"]
        self.best = state.get("best")  # not in checkpoints of before
        self.earlier = state["seconds"]
        self.metrics.go_back(state)
        self._write_record("running")

    def start(self) -> None:
        """The first step of this sitting comes next. Called when workers have been
        forked, for a reporter may start a thread."""
        self.watch = Stopwatch(self.earlier)
        self.reporter.start(self.record)

    def add_step(
        self, loss: float, lr: float, grad_norm: float, result: dict | None
    ) -> None:
        """Take in a step, and the figures of its evaluation if there was one."""
        self.step += 1
        if result is not None:
            self._evaluated(result)
        line = self.metrics.add(
            self.step,
            loss,
            lr=lr,
            grad_norm=grad_norm,
            seconds=self.watch.seconds,
            val_loss=None if result is None else result["val_loss"],
        )
        if line is not None:
            self.reporter.step(line)

    def _evaluated(self, result: dict) -> None:
        self.reporter.evaluated(self.step, result)
        if self.best is None or result["val_loss"] <= self.best["val_loss"]:
            self.best = {"step": self.step, "val_loss": result["val_loss"]}

    @property
    def is_best(self) -> bool:
        """Whether the last step was evaluated, and as no worse than any before."""
        return self.best is not None and self.best["step"] == self.step

    def save(self) -> None:
        """Write a checkpoint and remove old ones. Raises DivergedError, and keeps the
        old ones, where a weight is not finite."""
        largest = abs(self.work.flat.data).max().item()
        self.check(self.step, largest_weight=largest)
        state = {
            "step": self.step,
            "seconds": self.watch.seconds,
            "best": self.best,
            **self.metrics.state(),
            **hashes(self.record),
        }
        checkpoint.save(self.checkpoints, self.work.flat, self.work.optimizer, state)
        self._prune()

    def _prune(self) -> None:
        spared = {self.branch, self.best and self.best["step"]}
        checkpoint.prune(self.checkpoints, self.work.config.keep, spared)

    def check(self, step: int, **figures: float) -> None:
        """Raise DivergedError unless all of these, which a step gave, are finite."""
        if all(map(math.isfinite, figures.values())):
            return
        self._write_record("diverged")
        write_json(self.folder / "diverged.json", self._diverged(step, figures))
        newest = checkpoint.latest(self.checkpoints)
        kept = f"{newest} is kept" if newest else "there was no checkpoint yet"
        told = ", ".join(
            f"{name.replace('_', ' ')} {value:.3g}" for name, value in figures.items()
        )
        raise DivergedError(
            f"diverged in step {step}: {told}; {kept}; try a smaller --lr"
        )

    def _diverged(self, step: int, figures: dict) -> dict:
        """Where it happened: the step, counted from 1, its rate, what it read, and the
        first parameter whose gradient or value is not finite."""
        work = self.work

        def first_lost(buffer) -> str | None:
            for name, view in work.flat.views(buffer).items():
                if not math.isfinite(abs(to_numpy(view)).max(initial=0)):
                    return name
            return None

        return {
            "step": step,
            "learning_rate": learning_rate(work.config, step - 1),
            "figures": {
                name: value if math.isfinite(value) else str(value)
                for name, value in figures.items()
            },
            "first_gradient": first_lost(work.gradients[0]),
            "first_weight": first_lost(work.flat.data),
            "batch_ids": batch_at(work, step - 1).ids.tolist(),
        }

    def interrupted(self, number: int) -> None:
        """Raise Interrupted, with the way to go on. `number` is the signal's."""
        self._write_record("interrupted")
        raise Interrupted(
            f"interrupted after step {self.step}, checkpoint written; go on with: "
            f"minillm train --resume --out {shlex.quote(str(self.folder))}",
            exit_code=130 if number == signal.SIGINT else 143,
        )

    def finish(self, result: dict, **measured) -> dict:
        """The record of a run that is done, with its results."""
        config = self.work.config
        seconds = self.watch.seconds
        tokens = round(config.steps * self.work.tokens_per_step)
        self._evaluated(result)
        self._prune()  # what was the best until now
        self.record["results"] = {
            "steps": config.steps,
            "tokens": tokens,
            "train_loss": self.metrics.final_loss(),
            **result,
            "tokens_per_second": tokens / seconds,
            "seconds": seconds,
            **measured,
            "best": self.best,
        }
        self._write_record("finished")
        return self.record

    def _write_record(self, status: str) -> None:
        self.record["status"] = status
        write_json(self.folder / "run.json", self.record)


def hashes(record: dict) -> dict:
    """What the steps after a checkpoint depend on beside it."""
    data = record["data"]
    return {
        "data_sha256": data["sha256"],
        "tokenizer_sha256": data["tokenizer"]["sha256"],
    }
