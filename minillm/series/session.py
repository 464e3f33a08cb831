"""Session of a series: probe, plan, train the missing runs, fit all of them."""

import contextlib
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from minillm.backend import products
from minillm.errors import DataError, UsageError, call, option, typed
from minillm.files import sweep, write_json, writing
from minillm.learning.config import TrainConfig
from minillm.learning.data import EncodedCorpus
from minillm.learning.encoded import LIMIT
from minillm.learning.worker_pool import available_cores
from minillm.runs import lock
from minillm.runs.begin import check_bodies
from minillm.runs.resume import holds_nothing_yet
from minillm.runs.run import read_record
from minillm.series.elsewhere import elsewhere, jobs_for
from minillm.series.executors import Executor
from minillm.series.ladder import Ladder, command, options
from minillm.series.plan import (
    FINISHING,
    Plan,
    Run,
    most_runs,
    read_plan,
    within_budget,
)
from minillm.series.pool import Task, forks, side_by_side
from minillm.series.results import Results
from minillm.series.series_progress import Silent
from minillm.series.series_record import SeriesRecord
from minillm.series.series_text import prepared
from minillm.series.speed import decoding_of, probe
from minillm.series.training import train_run

PROBING = 0.02  # of the budget


@dataclass
class Session:
    """One session of a series: trains the missing runs and reports on all of them.

    The settings are those of `scale`; given: the plan of another series, if any.
    records: by name of the run.
    """

    ladder: Ladder
    data: str
    seed: int
    folder: Path
    workers: int
    budget: float
    objective: str
    arch: str
    given: Plan | None
    reporter: Silent
    cluster: Executor | None = None
    plan: Plan | None = None
    records: dict = field(default_factory=dict)
    excluded: list = field(default_factory=list)
    warnings: list = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    def run(self) -> SeriesRecord:
        """Train the series from beginning to end, or its missing runs."""
        if self.cluster:
            self.workers = self._await_workers()
        self._old_plan()  # another series is refused before a text is read
        found = prepared(self.ladder, self.data, self.objective, self.arch)
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with lock.locked(self.folder):
            sweep(self.folder)
            return self._run(*found)

    def _run(self, text: EncodedCorpus, tokenizer, tokens, warnings) -> SeriesRecord:
        plan_file = self.folder / "plan.json"
        old = self._old_plan()
        if old is None:
            self.plan = self.given or self._new_plan(text, tokenizer, tokens, warnings)
            if self.plan.sha256 != text.sha256:
                raise UsageError(
                    f"{option('plan')} was made for another text than this "
                    f"{text.name}: the "
                    f"losses could not be compared"
                )
            self.plan.write(plan_file)
        elif old.sha256 != text.sha256:
            raise UsageError(
                f"{self.folder}: holds a series on another text, or {text.name} has "
                f"changed since: choose another {option('out')}"
            )
        else:
            self.plan = old
        self.reporter.plan(self.plan, plan_file)
        lost = (text.train_lost + text.val_lost).note(text.name)
        for note in filter(None, (lost, products.library()["problem"])):
            self.reporter.note(note)
        self._train(text)
        self.reporter.note("timing how fast each size writes, fitting, drawing")
        vocab_size = text.tokenizer.vocab_size
        decoding = decoding_of(self.plan, vocab_size, self.folder, self.reporter.note)
        results = Results(self.plan, self.records, self.excluded, decoding)
        result = results.to_json()
        result["warnings"] += self.warnings
        result["out"] = str(self.folder.resolve())
        result["figures"] = [str(path) for path in results.draw(self.folder)]
        result["seconds"] = time.perf_counter() - self.began
        write_json(self.folder / "scale.json", result)
        return SeriesRecord(result)

    def _await_workers(self) -> int:
        """How many runs a cluster does at a time, once it has a worker."""
        said = False
        while not (n := self.cluster.n()):
            if not said:
                self.reporter.note("no worker is there yet: waiting for one")
                said = True
            time.sleep(1)
            self.cluster.check()
        return min(n, most_runs(self.ladder))

    def progress(self) -> str:
        if self.plan is None:
            return "nothing is trained yet"
        finished = sum(run.name in self.records for run in self.plan.runs)
        return f"{finished} of {len(self.plan.runs)} runs are finished"

    def command(self) -> str:
        """The command or the call that goes on with this series."""
        given = {"data": self.data, "objective": self.objective, "arch": self.arch}
        named = options(self.ladder.name, self.ladder.model, **given, seed=self.seed)
        if typed() or (self.cluster and self.cluster.address is None):
            line = command(self.folder, named)  # of ranks: mpiexec starts them
            return self.cluster.command(line) if self.cluster else line
        chosen = {"model": self.ladder.model} if named.pop("set") else {}
        if self.cluster:
            chosen |= {"executor": "dask", "scheduler": self.cluster.address}
        return call("scale", **named, **chosen, out=self.folder)

    def _old_plan(self) -> Plan | None:
        """The plan in the folder. Raises UsageError where the folder holds another
        series, or something else."""
        path = self.folder / "plan.json"
        if not path.exists():
            if self.folder.is_file() or (
                self.folder.is_dir() and not holds_nothing_yet(self.folder)
            ):
                raise UsageError(
                    f"{self.folder}: is not empty and holds no series: choose another "
                    f"{option('out')}"
                )
            return None
        plan = read_plan(path)
        widest = plan.ladder.held_out
        rates = []
        if self.given:
            both = (each.config(widest).lr for each in (plan, self.given))
            rates = [(f"learning rate at width {widest}", *both)]
        for what, old, new in (
            ("preset", plan.ladder.name, self.ladder.name),
            ("data", plan.data, self.data),
            ("objective", plan.objective, self.objective),
            ("arch", plan.arch, self.arch),
            ("seed", plan.seed, self.seed),
            ("model", plan.ladder.model, self.ladder.model),
            ("sizes or settings", plan.ladder, self.ladder),
            *rates,
        ):
            if old != new:
                raise UsageError(
                    f"{self.folder}: already holds another series, with {what} {old} "
                    f"instead of {new}: choose another {option('out')}"
                )
        return plan

    def _new_plan(self, text: EncodedCorpus, tokenizer, tokens, warnings) -> Plan:
        """Measure the speed of every size, and plan within the budget."""
        self.reporter.note(f"measuring how fast each size of {text.name} trains here")
        ladder = self.ladder
        plan = Plan(
            ladder=ladder,
            data=self.data,
            objective=self.objective,
            arch=self.arch,
            sha256=text.sha256,
            tokenizer=tokenizer,
            seed=self.seed,
            workers=self.workers,
            budget=self.budget,
            tokens=tokens,
            validation_batches=min(LIMIT, len(text.val)) // ladder.tokens_per_step,
            step_seconds={},
            seconds_before=0.0,
            warnings=tuple(warnings),
        )
        configs = {
            width: plan.config(width) for width in (*ladder.widths, ladder.held_out)
        }
        at_once = min(self.workers, available_cores())
        step_seconds = probe(configs, text, at_once, PROBING * self.budget)
        spent = time.perf_counter() - self.began
        measured = {"step_seconds": step_seconds, "seconds_before": spent}
        return within_budget(replace(plan, **measured))

    def _train(self, text: EncodedCorpus) -> None:
        """Train the missing runs, each in a process of its own."""
        runs = {run.name: run for run in self.plan.runs}
        missing = [run for run in runs.values() if not self._is_over(run)]
        given = text if forks() else None  # without fork, each process prepares its own
        if self.cluster:
            runs_there = {run.name: self._configs(run) for run in missing}
            jobs = jobs_for(self.cluster, self.folder, runs_there, text, self.reporter)
            events = elsewhere(jobs, self.cluster)
        else:
            tasks = (
                Task(run.name, train_run, (self._configs(run), given))
                for run in self._in_time(missing)
            )
            events = side_by_side(tasks, self.workers)
        with contextlib.closing(events):
            for event in events:
                run = runs[event.task.name] if event.task else None
                match event.kind:
                    case "started":
                        self.reporter.started(run)
                    case "sent":
                        self.reporter.step(run, event.value)
                    case "answered":
                        self._keep(run)
                    case "failed":
                        self._exclude(run, event.value)
                self.reporter.tick()

    def _is_over(self, run: Run) -> bool:
        """Whether an earlier session has finished a run, or it has diverged."""
        found = set()
        for tokens in run.lengths:
            place = self._place(run, tokens)
            if not (place / "run.json").exists():
                _check_free(place)
                found.add("missing")
            else:
                found.add(_status(place))
        if found == {"finished"}:
            self._keep(run)
        elif "diverged" in found:
            self._exclude(run, "it diverged")
        return found == {"finished"} or "diverged" in found

    def _in_time(self, runs: list[Run]):
        """Each run in its turn, without repeats that would end too late."""
        for run in runs:
            end = time.perf_counter() - self.began + run.seconds + FINISHING
            spare = run.repeat or run.rate != 1
            if spare and end > self.plan.budget:
                what = "a repeat" if run.rate == 1 else "a check of the learning rate"
                self.warnings.append(
                    f"run {run.name}, {what}, is left out: {self.plan.budget:.0f} "
                    f"seconds would be over; start the series again to add it"
                )
                self.reporter.note(self.warnings[-1])
            else:
                yield run

    def _keep(self, run: Run) -> None:
        for tokens in run.lengths:
            record = read_record(self._place(run, tokens))
            self.records[run.branch_name(tokens)] = record
        self.reporter.finished(run, record)

    def _exclude(self, run: Run, reason: str) -> None:
        self.excluded.append({"run": run.name, "reason": reason})
        self.reporter.failed(run, reason)

    def _place(self, run: Run, tokens: int) -> Path:
        return self.folder / "runs" / run.branch_name(tokens)

    def _configs(self, run: Run) -> list[TrainConfig]:
        """The settings of every branch, the shortest first."""
        return [
            replace(
                self.plan.config(run.width, run.seed, tokens, run.rate),
                out=str(self._place(run, tokens)),
            )
            for tokens in run.lengths
        ]


def _check_free(place: Path) -> None:
    """UsageError unless a run may begin in a place: it is free, or holds only the
    remains of a run that was killed as it began."""
    there = os.path.lexists(place)  # also a link that leads nowhere
    if there and not (place.is_dir() and holds_nothing_yet(place)):
        raise UsageError(
            f"{place}: is there and holds no run of this series: move it away, or "
            f"choose another {option('out')}"
        )


def _status(place: Path) -> str:
    """The status of the run in a folder. Raises DataError, with the way out, and
    UsageError where its ops ran otherwise (MINILLM_PLAIN)."""
    try:
        check_bodies(place)
        return read_record(place)["status"]
    except DataError as error:
        raise DataError(f"{error}: delete {place} to train it again") from None
