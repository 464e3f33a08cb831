"""Progress of a series in a notebook: the table of its sizes, with their losses."""

from pathlib import Path

from minillm import markup
from minillm.notebook import Area
from minillm.series.plan import Plan, Run
from minillm.series.series_progress import HEADS, Counted, in_words, size_rows


class NotebookTable(Counted):
    """Shows a series below the cell that trains it."""

    def __init__(self):
        super().__init__()
        self.area = Area()
        self.notes = []
        self.losses = {}  # of each width: those of its runs that are done
        self._plan = None
        self.over = False

    def plan(self, plan: Plan, path: Path) -> None:
        super().plan(plan, path)
        self.notes = [in_words(plan, path), *self.notes]
        self.notes += [f"warning: {warning}" for warning in plan.warnings]
        self._draw(now=True)

    def started(self, run: Run) -> None:
        super().started(run)
        self._draw()

    def step(self, run: Run, line: dict) -> None:
        super().step(run, line)
        self._draw()

    def finished(self, run: Run, record: dict) -> None:
        super().finished(run, record)
        self.losses.setdefault(run.width, []).append(record["results"]["val_loss"])
        self._draw(now=True)

    def failed(self, run: Run, reason: str) -> None:
        super().failed(run, reason)
        self.note(f"{run.name}: left out: {reason}")

    def tick(self) -> None:
        self._draw()

    def note(self, text: str) -> None:
        self.notes.append(text)
        self._draw(now=True)

    def close(self) -> None:
        self.over = True
        self._draw(now=True)

    def _draw(self, now: bool = False) -> None:
        if (self.notes or self._plan) and (now or self.area.is_due):
            self.area.draw(self._html(), self._plain())

    def _html(self) -> str:
        parts = [markup.line(note) for note in self.notes]
        if self._plan:
            told = markup.line(self._told())
            parts.append(markup.beside(markup.bar(self._share()), told))
            parts.append(markup.table([*HEADS, "validation loss"], self._rows()))
        return f"<div>{''.join(parts)}</div>"

    def _plain(self) -> str:
        rows = ["  ".join(row) for row in self._rows()] if self._plan else []
        told = [self._told()] if self._plan else []
        return "\n".join([*self.notes, *told, *rows])

    def _rows(self) -> list[list[str]]:
        found = []
        for width, row in size_rows(self._plan).items():
            losses = [f"{loss:.4f}" for loss in self.losses.get(width, [])]
            running = [
                "…" if line is None else f"{line['loss']:.3f} …"
                for run in self._plan.runs
                if run.width == width and (run.name in self.lines)
                for line in [self.lines[run.name]]
            ]
            found.append([*row, ", ".join([*losses, *running]) or "–"])
        return found

    def _share(self) -> float:
        total = sum(run.seconds for run in self._plan.runs)
        done = sum(run.seconds * self.done.get(run.name, 0) for run in self._plan.runs)
        return done / total if total else 0.0

    def _told(self) -> str:
        done = sum(share == 1 for share in self.done.values())
        runs = len(self._plan.runs)
        left = "" if self.over else f", {self._left()} left"
        return f"{done} of {runs} models{left}"
