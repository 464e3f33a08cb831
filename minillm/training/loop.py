"""The training loop: from a configuration to a run folder and its record."""

import contextlib
import json
import math
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from minillm import backend
from minillm.errors import DataError, DivergedError, Interrupted, UsageError
from minillm.models import build
from minillm.text import Windows, load_tokenizer, validation_windows
from minillm.training import checkpoint
from minillm.training.config import TrainConfig
from minillm.training.data import Text, prepare
from minillm.training.decoding_speed import seconds_per_token
from minillm.training.evaluate import LIMIT, summarise
from minillm.training.flat import FlatParameters
from minillm.training.folder import FREE, claim, read_record
from minillm.training.interrupt import Interrupts
from minillm.training.optimizer import SGD, AdamW, clip_scale, global_norm
from minillm.training.process import keep_freed_memory, one_blas_thread
from minillm.training.record import new_record
from minillm.training.replica import Replica, Workplace
from minillm.training.schedule import learning_rate
from minillm.training.streams import WEIGHTS
from minillm.training.team import Team, parse_workers

MOST_LINES = 2_000  # of metrics.jsonl, for a run of any length
INTERIM = 8  # evaluations on the way look at every eighth validation window


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


def train(
    config: TrainConfig | None = None,
    *,
    reporter=None,
    sources: dict | None = None,
    resume: bool = False,
    text: Text | None = None,
    draw: bool = True,
    **options,
) -> dict:
    """Train a model and return the record of the run, which run.json holds too.

    Give a TrainConfig or its fields by name: `train(size="nano", data="my.txt")`.
    `reporter` hears of every step (see `Silent`); `sources` says where each option came
    from; `resume` goes on with the run in `out`; `text` spares preparing the corpus
    again; `draw` makes loss.svg. A folder that holds this very run, finished, is not
    trained again: its record is returned.

    Raises UsageError, DataError, DeviceError, DivergedError or Interrupted.
    """
    if config is None:
        config = TrainConfig.from_json(options)
    elif options:
        raise UsageError("give a TrainConfig or its fields, not both")
    reporter = reporter or Silent()
    given = config.to_json()
    if resume:
        config = _recorded(config, sources)
    config = config.resolve()
    with backend.use(config.device) as device:
        workers = ("device", 1)
        if device.kind == "cpu":
            workers = parse_workers(config.workers, config.batch)
        elif config.workers not in ("auto", "1"):
            raise UsageError(f"--workers {config.workers}: a GPU takes one")
        folder, record = claim(config, resume)
        config = replace(config, out=str(folder))
        if record is not None and record["status"] == "finished":
            reporter.note(
                f"{folder} holds this run already, finished: delete it or choose "
                f"another --out to train again"
            )
            return record
        try:
            session = _Session(config, folder, workers, reporter, text, resume)
            record = new_record(
                session.work.config,
                session.work.model.config,
                session.text,
                sources or _sources(given),
                workers,
            )
        except BaseException:
            _remove_if_empty(folder)
            raise
        session.text.tokenizer.save(folder / "tokenizer.json")
        checkpoint.write_json(folder / "run.json", record)
        try:
            record = session.run(record)
        finally:
            reporter.close()
    if draw:
        from minillm.training.curve import draw_curve

        draw_curve(folder)
    reporter.finish(record)
    return record


class _Session:
    """One sitting of a run: builds what it needs, then does the steps that are left."""

    def __init__(self, config, folder: Path, workers, reporter, text, resume):
        keep_freed_memory()
        self.folder = folder
        self.reporter = reporter
        self.workers = workers
        self.checkpoints = folder / "checkpoints"
        self.text = text or _prepare(config, folder, reporter, resume)
        self.device = backend.current()
        shape = config.model(self.text.tokenizer.vocab_size)
        model = build(shape, np.random.default_rng((config.seed, 0, WEIGHTS)))
        kind, n = workers
        flat = FlatParameters(model, shared=kind == "processes" and n > 1)
        if config.optimizer == "adamw":
            optimizer = AdamW(
                flat,
                beta1=config.beta1,
                beta2=config.beta2,
                weight_decay=config.weight_decay,
            )
        else:
            optimizer = SGD(flat, weight_decay=config.weight_decay)
        n_validation = math.ceil(LIMIT / config.context)
        self.work = Workplace(
            config=config,
            model=model,
            flat=flat,
            optimizer=optimizer,
            gradients=[flat.zeros() for _ in range(n)],
            windows=Windows(self.text.train, config.context, config.seed),
            validation=validation_windows(self.text.val, config.context, n_validation),
            tokenizer=self.text.tokenizer,
        )
        self.step = 0
        self.tokens_before = 0
        self.seconds_before = 0.0
        if resume:
            self._resume()

    def run(self, record: dict) -> dict:
        """The steps from here to the end. Returns the record with its results."""
        config = self.work.config
        started = time.perf_counter()
        evaluating = 0.0  # seconds, which training speed leaves out
        losses = _Losses(config.steps)
        kind, n = self.workers
        every = max(1, config.steps // MOST_LINES)
        with (
            one_blas_thread(),
            Team(lambda rank: Replica(self.work, rank, n), kind, n) as team,
            Interrupts() as interrupts,
            (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as metrics,
        ):
            self.reporter.start(record)  # after the fork: it may start a thread
            while self.step < config.steps:
                lr = learning_rate(config, self.step)
                loss = float(sum(team.call("compute", self.step)))
                norm = global_norm(team.call("reduce"))
                if not (math.isfinite(loss) and math.isfinite(norm)):
                    self._diverged(record, lr, loss, norm)
                team.call("update", self.step, lr, clip_scale(norm, config.clip))
                self.step += 1
                losses.add(loss)
                last = self.step == config.steps
                if self.step % every == 0 or last:
                    seconds = time.perf_counter() - started - evaluating
                    line = self._line(losses.since_last_line(), lr, norm, seconds)
                    metrics.write(json.dumps(line) + "\n")
                    metrics.flush()
                    self.reporter.step(line)
                if self.step % config.eval_every == 0 and not last:
                    begun = time.perf_counter()
                    self.reporter.evaluated(self.step, self._evaluate(team, INTERIM))
                    evaluating += time.perf_counter() - begun
                if self.step % config.save_every == 0 or last or interrupts.signal:
                    self._save(time.perf_counter() - started - evaluating)
                if interrupts.signal and not last:
                    self._interrupted(record, interrupts.signal)
            seconds = time.perf_counter() - started - evaluating
            result = self._evaluate(team)
            decode = None
            if config.arch == "gpt":
                decode = seconds_per_token(self.work.model)
        self.reporter.evaluated(self.step, result)
        seconds += self.seconds_before
        tokens = config.steps * config.tokens_per_step
        record["status"] = "finished"
        record["results"] = {
            "steps": config.steps,
            "tokens": tokens,
            "train_loss": losses.final(),
            **result,
            "tokens_per_second": tokens / seconds,
            "seconds": seconds,
            "peak_memory_bytes": self.device.memory()["peak"],
            "decode_seconds_per_token": decode,
        }
        checkpoint.write_json(self.folder / "run.json", record)
        return record

    def _line(self, loss, lr, norm, seconds) -> dict:
        tokens = self.step * self.work.config.tokens_per_step
        return {
            "step": self.step,
            "tokens": tokens,
            "loss": loss,
            "lr": lr,
            "grad_norm": norm,
            "tokens_per_second": (tokens - self.tokens_before) / max(seconds, 1e-9),
            "seconds": self.seconds_before + seconds,
        }

    def _evaluate(self, team: Team, every: int = 1) -> dict:
        sums = np.sum(team.call("evaluate", every), axis=0)
        return summarise(
            sums.tolist(),
            self.text.val_bytes,
            len(self.text.val),
            self.work.config.objective,
        )

    def _save(self, seconds: float) -> None:
        config = self.work.config
        state = {
            "seconds": self.seconds_before + seconds,
            "data_sha256": self.text.sha256,
            "tokenizer_sha256": self.text.tokenizer.sha256,
        }
        checkpoint.save(
            self.checkpoints, self.step, self.work.flat, self.work.optimizer, state
        )
        checkpoint.prune(self.checkpoints, config.keep)

    def _resume(self) -> None:
        newest = checkpoint.latest(self.checkpoints)
        if newest is None:
            self.reporter.note(f"{self.folder}: no whole checkpoint: from the start")
            (self.folder / "metrics.jsonl").write_text("", encoding="utf-8")
            return
        state = checkpoint.load(newest, self.work.flat, self.work.optimizer)
        for key, now in (
            ("data_sha256", self.text.sha256),
            ("tokenizer_sha256", self.text.tokenizer.sha256),
        ):
            if state[key] != now:
                what = key.removesuffix("_sha256")
                raise DataError(f"{newest}: was trained with another {what}")
        self.step = state["step"]
        self.seconds_before = state["seconds"]
        self.tokens_before = self.step * self.work.config.tokens_per_step
        _keep_lines(self.folder / "metrics.jsonl", self.step)

    def _diverged(self, record, lr, loss, norm) -> None:
        record["status"] = "diverged"
        checkpoint.write_json(self.folder / "run.json", record)
        raise DivergedError(
            f"diverged at step {self.step}: loss {loss}, gradient norm {norm}, "
            f"learning rate {lr:.3g}; the last good checkpoint is kept; try a smaller "
            f"--lr"
        )

    def _interrupted(self, record, number) -> None:
        record["status"] = "interrupted"
        checkpoint.write_json(self.folder / "run.json", record)
        raise Interrupted(
            f"interrupted after step {self.step}, checkpoint written; go on with: "
            f"minillm train --resume --out {self.folder}",
            exit_code=130 if number == signal.SIGINT else 143,
        )


@dataclass
class _Losses:
    """The losses of the steps: their mean since the last line, and at the end."""

    steps: int

    def __post_init__(self):
        self._pending = []
        self._last = []

    def add(self, loss: float) -> None:
        self._pending.append(loss)
        self._last.append(loss)
        del self._last[: -max(1, min(100, self.steps // 20))]

    def since_last_line(self) -> float:
        mean = sum(self._pending) / len(self._pending)
        self._pending.clear()
        return mean

    def final(self) -> float | None:
        """The mean over the last twentieth of the run (at most 100 steps)."""
        return sum(self._last) / len(self._last) if self._last else None


def _prepare(config, folder: Path, reporter, resume: bool) -> Text:
    tokenizer = load_tokenizer(folder / "tokenizer.json") if resume else None
    return prepare(config, tokenizer)


def _recorded(config: TrainConfig, sources: dict | None) -> TrainConfig:
    """The configuration of the run in `config.out`. What was asked for now must agree
    with it, but for where and on what it runs."""
    if config.out is None:
        raise UsageError("--resume needs --out: which run?")
    options = dict(read_record(Path(config.out))["options"])
    for name, value in config.to_json().items():
        default = getattr(TrainConfig, name)
        asked = value != default if sources is None else sources.get(name) != "default"
        if asked and name in FREE:
            options[name] = value
        elif asked and options.get(name) not in (value, None):
            raise UsageError(
                f"{config.out}: cannot resume with {name} {value}: this run has "
                f"{options[name]}"
            )
    options["out"] = config.out
    return TrainConfig.from_json(options)


def _sources(given: dict) -> dict:
    return {
        name: "default" if value == getattr(TrainConfig, name) else "argument"
        for name, value in given.items()
    }


def _keep_lines(path: Path, step: int) -> None:
    """Drop the lines of metrics.jsonl after a step: they will be written again."""
    if not path.exists():
        return
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):  # a line cut off by a crash
            if json.loads(line)["step"] <= step:
                lines.append(line + "\n")
    path.write_text("".join(lines), encoding="utf-8")


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
