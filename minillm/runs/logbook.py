"""The logbook of a run: what is written into its folder while it trains."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

from minillm.backend import current
from minillm.errors import (
    DataError,
    DivergedError,
    Interrupted,
    UsageError,
    call,
    check_finite,
)
from minillm.files import write_json
from minillm.learning.evaluate import Score, interim_every, summarise
from minillm.learning.learner import Learner, Step
from minillm.learning.schedule import branch_step
from minillm.runs import branching, checkpoint, divergence
from minillm.runs.evaluation import seconds_per_token
from minillm.runs.metrics import Metrics, Stopwatch
from minillm.runs.resume import FREE, differences
from minillm.runs.run import hashes, read_record
from minillm.runs.saved_state import is_possible
from minillm.runs.warm_start import warm_start

# How often a GPU is waited for, in seconds: it has nothing to do then until the next
# step is asked for.
BETWEEN_READINGS = 0.5


class Silent:
    """A reporter that says nothing: the methods a reporter has."""

    def start(self, record: dict) -> None:
        """The record as far as it is known before the first step."""

    def step(self, line: dict) -> None:
        """A line of metrics.jsonl."""

    def evaluated(self, step: int, result: dict) -> None:
        """The figures of an evaluation."""

    def note(self, text: str) -> None:
        """Something the user should know."""

    def finish(self, record: dict) -> None:
        """The whole record."""

    def close(self) -> None:
        """No more will come: the run is over, or an error ended it."""


class Logbook:
    """Keeps run.json, metrics.jsonl and the checkpoints of a run.

    `n_done` counts the steps that are done; `watch`, once started, their seconds.
    """

    def __init__(self, folder: Path, record: dict, learner: Learner, reporter):
        self.folder = folder
        self.record = record
        self.learner = learner
        self.work = learner.work
        self.reporter = reporter
        self.checkpoints = folder / checkpoint.FOLDER
        self.metrics = Metrics(
            folder / "metrics.jsonl",
            learner.config,
            learner.text.tokens_per_step(learner.config),
        )
        self.branch = branch_step(learner.config)
        self.n_done = 0
        self.every = interim_every(self.work.validation)
        self.result = None  # of the last step's evaluation, if there was one
        self.whole = None  # of all there is to validate, at the end
        self.written = []  # checkpoints of this session
        # The evaluation on the way with the lowest loss: {"step", "val_loss"}.
        self.best = None
        self.seconds_before = 0.0  # of the sessions before
        self.unwritten = []  # steps whose lines are still to be written
        self.read_at = 0.0  # the seconds of the last one that is

    def write_first_record(self) -> None:
        """Write what is known before the first step."""
        self.work.tokenizer.save(self.folder / "tokenizer.json")
        self._write_record("running")

    def go_on(self) -> None:
        """Go back to the newest whole checkpoint, or to the start.

        Raises DataError where it belongs to another model, text or tokenizer.
        """
        newest = checkpoint.latest(self.checkpoints, self.work.flat.size)
        if newest is None:
            self.reporter.note(f"{self.folder}: no whole checkpoint: from the start")
            warm_start(self.learner)
            recorded = hashes(read_record(self.folder))
            state = {"step": 0, "seconds": 0.0, "losses": [], "logged": 0, **recorded}
        else:
            state = checkpoint.load(newest, self.work.flat, self.work.optimizer)
            if not is_possible(state, self.work.config.steps):
                raise DataError(f"{newest / 'state.json'}: is not of a run like this")
        for name, sha256 in hashes(self.record).items():
            if state.get(name) != sha256:
                what = name.removesuffix("_sha256")
                raise DataError(
                    f"{newest or self.folder}: was trained with another {what}"
                )
        self._check_options(newest, state.get("options"))
        for path in checkpoint.set_aside(self.checkpoints, newest):
            self.reporter.note(
                f"{path}: was damaged: going on from step {state['step']}"
            )
        self.n_done = self.learner.next = state["step"]
        self.best = state.get("best")  # not in checkpoints of before
        self._prune()
        self.seconds_before = state["seconds"]
        if not self.metrics.go_back(state):
            self.reporter.note(
                f"{self.metrics.path}: lines are missing or changed: the learning "
                f"curve is not whole"
            )
        self._write_record("running")

    def _check_options(self, newest: Path | None, saved: dict | None) -> None:
        """DataError where a checkpoint was trained with other options than run.json has
        by now. Checkpoints of before do not say."""
        config = self.work.config
        if saved is None:
            return
        try:
            found = differences({"options": saved}, config)
        except (UsageError, TypeError) as error:
            raise DataError(f"{newest / 'state.json'}: {error}") from None
        for name, old, new in found:
            if not (config.start and name in branching.LONGER):
                raise DataError(
                    f"{newest}: was trained with {name} {old}, and run.json has {new}: "
                    f"one of them is damaged, or of another run"
                )

    def start_watch(self) -> None:
        """Start to count seconds: the first step of this session comes next. Called
        when workers have been forked, for a reporter may start a thread."""
        self.watch = Stopwatch(self.seconds_before)
        self.read_at = self.seconds_before
        self.reporter.start(self.record)

    def add(self, step: Step) -> None:
        """Take in a step; where it is time, the model is evaluated after it. On a GPU
        the lines of some steps are written together."""
        self.n_done = step.number + 1
        self.unwritten.append(step)
        due = self.n_done % self.learner.config.eval_every == 0 or self.is_done
        self.result = self._evaluate() if due else None
        if due:
            self._remember_best(self.result)
            if not self.is_done:  # the last one is reported by `finish`
                self.reporter.evaluated(self.n_done, self.result)
        waited = self.watch.seconds - self.read_at
        if due or step.figures or waited > BETWEEN_READINGS:
            self._write_lines(self.result and self.result["val_loss"])

    def _write_lines(self, val_loss: float | None = None) -> None:
        """Write the lines of all steps so far; `val_loss` was measured after the last.
        Of those that nobody waited for, each took the same time."""
        self.learner.wait()
        self._write_known(val_loss)

    def _write_known(self, val_loss: float | None = None) -> None:
        steps, self.unwritten = self.unwritten, []
        began, self.read_at = self.read_at, self.watch.seconds
        for i, step in enumerate(steps, 1):
            line = self.metrics.add(
                step.number + 1,
                step.loss,
                lr=step.lr,
                grad_norm=step.norm,
                seconds=began + (self.read_at - began) * i / len(steps),
                val_loss=val_loss if i == len(steps) else None,
            )
            if line is not None:
                self.reporter.step(line)

    def _evaluate(self) -> dict:
        """The figures of the model as it is, by a part of what there is to validate; at
        the end `whole` are those by all of it. Their seconds do not count."""
        with self.watch.paused():
            if self.is_done:
                part, whole = self.learner.evaluate_both(self.every)
            else:
                part, whole = self.learner.evaluate(self.every), None
        found = self._figures(part)
        self.whole = whole and self._figures(whole)
        return found

    def _figures(self, score: Score) -> dict:
        per_token = self.learner.text.bytes_per_token
        result = summarise(score, self.learner.config.objective, per_token)
        check_finite(self.n_done, validation_loss=result["val_loss"])
        return result

    def _remember_best(self, result: dict) -> None:
        if self.best is None or result["val_loss"] <= self.best["val_loss"]:
            self.best = {"step": self.n_done, "val_loss": result["val_loss"]}

    @property
    def is_done(self) -> bool:
        return self.n_done == self.learner.config.steps

    @property
    def wants_checkpoint(self) -> bool:
        """Whether the last step is one to come back to: no evaluation was better, a
        longer run may branch off here, or it is time."""
        best = self.best is not None and self.best["step"] == self.n_done
        due = self.n_done % self.learner.config.save_every == 0 or self.is_done
        return best or due or self.n_done == self.branch

    def save(self) -> None:
        """Write a checkpoint and remove old ones. Raises DivergedError, and keeps the
        old ones, where a weight is not finite."""
        self._write_lines()
        self.learner.check_weights()
        state = {
            "step": self.n_done,
            "seconds": self.watch.seconds,
            "best": self.best,
            "options": {
                name: value
                for name, value in self.record["options"].items()
                if name not in FREE
            },
            **self.metrics.state(),
            **hashes(self.record),
        }
        work = self.work
        saved = checkpoint.save(self.checkpoints, work.flat, work.optimizer, state)
        self.written.append(saved)
        self._prune()

    def _prune(self) -> None:
        spared = {self.branch, self.best and self.best["step"]}
        keep = self.work.config.keep
        checkpoint.prune(self.checkpoints, keep, spared, self.written)

    @contextlib.contextmanager
    def recording_divergence(self) -> Iterator[None]:
        """Write diverged.json where the block ends in a DivergedError, and say in it
        which checkpoint is kept."""
        try:
            yield
        except DivergedError as error:
            self.unwritten = [s for s in self.unwritten if s.number + 1 < error.step]
            self._write_known()
            self._write_record("diverged")
            found = divergence.where(self.work, error.step, error.figures)
            write_json(self.folder / "diverged.json", found)
            newest = checkpoint.latest(self.checkpoints)
            kept = f"{newest} is kept" if newest else "there was no checkpoint yet"
            message = f"{error}; {kept}"
            raise DivergedError(message, error.step, error.figures) from None

    def interrupted(self, number: int) -> None:
        """Raise Interrupted, with the way to go on. `number` is the signal's."""
        self._write_record("interrupted")
        way = call("train", resume=True, out=self.folder)
        if self.learner.own:
            way = f"train(model=…, resume=True, out={str(self.folder)!r})"
        raise Interrupted(
            f"interrupted after step {self.n_done}, checkpoint written; go on with: "
            f"{way}",
            exit_code=130 if number == signal.SIGINT else 143,
        )

    def finish(self) -> dict:
        """The record of a run that is done, with its results."""
        config, model = self.learner.config, self.learner.model
        if self.whole is None:  # the last step was taken before this session
            self._evaluate()
        result = self.whole
        seconds = self.watch.seconds
        writes = getattr(model, "continues_text", False)  # one's own may lack it
        decoding = seconds_per_token(model) if writes else None
        tokens = round(config.steps * self.metrics.tokens_per_step)
        self.reporter.evaluated(self.n_done, result)
        self.record["results"] = {
            "steps": config.steps,
            "tokens": tokens,
            "train_loss": self.metrics.final_loss(),
            **result,
            "tokens_per_second": tokens / seconds,
            "seconds": seconds,
            "peak_memory_bytes": current().memory()["peak"],
            "decode_seconds_per_token": decoding,
            "best": self.best,
        }
        if ranks := self.learner.ranks:
            self.record["results"]["allreduce_seconds"] = ranks.seconds
        self._write_record("finished")
        return self.record

    def _write_record(self, status: str) -> None:
        self.record["status"] = status
        write_json(self.folder / "run.json", self.record)
