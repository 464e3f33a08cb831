"""Progress of a series: its plan, then a live line for each run."""

import time
from pathlib import Path

from minillm.runs.progress import clock
from minillm.series.ladder import heads
from minillm.series.plan import FINISHING, Plan, Run, makespan
from minillm.visible import console

SECONDS_BETWEEN_LINES = 15  # where stderr is no terminal


class Silent:
    """A reporter that says nothing, with all methods of one."""

    def plan(self, plan: Plan, path: Path) -> None:
        """The plan, before anything is trained."""

    def started(self, run: Run) -> None:
        """A run has begun."""

    def step(self, run: Run, line: dict) -> None:
        """A line of a run's metrics.jsonl, now and then."""

    def finished(self, run: Run, record: dict) -> None:
        """The record of a run, which may have been finished before."""

    def failed(self, run: Run, reason: str) -> None:
        """A run that is left out of the laws."""

    def tick(self) -> None:
        """Time has passed."""

    def note(self, text: str) -> None:
        """A message for the user."""

    def close(self) -> None:
        """The end of the series."""


class Counted(Silent):
    """A reporter that knows how far each run is, and how long the others will take."""

    def __init__(self):
        self.done = {}  # share of each run, by its name
        self.lines = {}  # the last line of each run that is running

    def plan(self, plan: Plan, path: Path) -> None:
        self._plan = plan

    def started(self, run: Run) -> None:
        self.done[run.name] = 0.0
        self.lines[run.name] = None

    def step(self, run: Run, line: dict) -> None:
        self.done[run.name] = line["step"] / self._steps(run)
        self.lines[run.name] = line

    def finished(self, run: Run, record: dict) -> None:
        self._over(run)

    def failed(self, run: Run, reason: str) -> None:
        self._over(run)

    def _steps(self, run: Run) -> int:
        return run.lengths[-1] // self._plan.ladder.tokens_per_step

    def _over(self, run: Run) -> None:
        self.done[run.name] = 1.0
        self.lines.pop(run.name, None)

    def _left(self) -> str:
        runs = sorted(self._plan.runs, key=lambda run: run.name not in self.lines)
        left = [run.seconds * (1 - self.done.get(run.name, 0.0)) for run in runs]
        return clock(makespan(left, self._plan.workers) + FINISHING)


class Reporter(Counted):
    """Shows a series on stderr: live lines in a terminal, else a line now and then.

    The process that starts the runs draws the live lines, not a thread: a process that
    forks should have none.
    """

    def __init__(self):
        super().__init__()
        self.console = console(stderr=True, soft_wrap=True)
        self.live = None
        self.tasks = {}
        self.last = time.perf_counter()

    def plan(self, plan: Plan, path: Path) -> None:
        super().plan(plan, path)
        self.console.print(_table(plan))
        self.console.print(in_words(plan, path))
        for warning in plan.warnings:
            self.console.print(f"warning: {warning}")
        if self.console.is_terminal:
            self._go_live()

    def started(self, run: Run) -> None:
        super().started(run)
        if self.live:
            self.tasks[run.name] = self.live.add_task(
                run.name, total=self._steps(run), message=""
            )

    def step(self, run: Run, line: dict) -> None:
        super().step(run, line)
        if self.live:
            self.live.update(
                self.tasks[run.name],
                completed=line["step"],
                message=f"loss {line['loss']:.3f}",
            )

    def finished(self, run: Run, record: dict) -> None:
        results = record["results"]
        before = "" if run.name in self.lines else ", finished before"
        super().finished(run, record)
        self.console.print(
            f"{run.name}: loss {results['val_loss']:.4f}, accuracy "
            f"{results['val_accuracy']:.1%}, {results['seconds']:.0f} s{before}"
        )

    def failed(self, run: Run, reason: str) -> None:
        super().failed(run, reason)
        self.console.print(f"{run.name}: left out: {reason}")

    def tick(self) -> None:
        if self.live:
            self.live.update(self.whole, message=f"{self._left()} left")
            self.live.refresh()
        elif time.perf_counter() - self.last > SECONDS_BETWEEN_LINES:
            self.last = time.perf_counter()
            running = [f"{name} {self.done[name]:.0%}" for name in self.lines]
            running = ", ".join(running) or "no run is on its way"
            self.console.print(f"{running}; {self._left()} left")

    def note(self, text: str) -> None:
        self.console.print(text)

    def close(self) -> None:
        if self.live:
            self.live.stop()
            self.live = None

    def _go_live(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self.live = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total} {task.fields[message]}"),
            console=self.console,
            auto_refresh=False,
            transient=True,
        )
        self.live.start()
        runs = len(self._plan.runs)
        self.whole = self.live.add_task("all runs", total=runs, message="")

    def _over(self, run: Run) -> None:
        super()._over(run)
        if self.live:
            if run.name in self.tasks:
                self.live.remove_task(self.tasks.pop(run.name))
            self.live.advance(self.whole)


def in_words(plan: Plan, path: Path) -> str:
    """What a series is about to do, and how long it takes."""
    over = ""
    if plan.seconds > plan.budget:
        over = f", longer than the budget of {clock(plan.budget)}"
    return (
        f"{plan.tokens:,} tokens for each of {len(plan.runs)} models, "
        f"{plan.workers} side by side: about {clock(plan.seconds)} in all{over} "
        f"({path})"
    )


def _seeds(runs: list[Run]) -> str:
    n = str(sum(run.rate == 1 for run in runs))
    return f"{n}, held out" if runs[0].held_out else n


HEADS = ("layers × width", "heads", "learning rate", "ms/step", "seeds", "s")


def size_rows(plan: Plan) -> dict[int, list[str]]:
    """The cells below `HEADS` of each size, by its width."""
    found = {}
    for width, seconds in sorted(plan.step_seconds.items()):
        runs = [run for run in plan.runs if run.width == width]
        found[width] = [
            f"{plan.ladder.layers} × {width}",
            str(heads(width)),
            f"{plan.config(width).lr:.4f}",
            f"{1e3 * seconds:.1f}",
            _seeds(runs),
            f"{sum(run.seconds for run in runs):.0f}",
        ]
    return found


def _table(plan: Plan):
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for head in HEADS:
        table.add_column(head, justify="right")
    for row in size_rows(plan).values():
        table.add_row(*row)
    return table
