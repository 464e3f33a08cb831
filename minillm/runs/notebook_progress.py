"""Progress of a run in a notebook: a bar, the loss and its curve, drawn in place."""

from minillm import markup
from minillm.learning.config import TrainConfig
from minillm.notebook import Area
from minillm.runs.expectation import in_words
from minillm.runs.logbook import Silent
from minillm.runs.progress import beginning, evaluation_line, summary

POINTS = 160  # of the curve
WIDE, HIGH = 320, 72  # the curve, in pixels


class NotebookProgress(Silent):
    """Shows a run below the cell that trains it.

    A second run, as that of a baseline, gets a place of its own.
    """

    def __init__(self):
        self._begin()

    def _begin(self) -> None:
        self.area = Area()
        self.title = self.unit = self.found = ""
        self.steps = self.done = 0
        self.state = ""  # what is to be seen beside the bar
        self.notes = []
        self.losses = []  # (step, loss)
        self.validated = []
        self.over = False

    def start(self, record: dict) -> None:
        if self.over:
            self._begin()
        self.title = beginning(record)
        self.steps = record["options"]["steps"]
        self.unit = TrainConfig.from_json(record["options"]).loss_unit
        self._draw(now=True)

    def expected(self, seconds: float) -> None:
        """How long it will take, before the first step."""
        self.state = f"{in_words(seconds)} on this machine"
        self._draw(now=True)

    def step(self, line: dict) -> None:
        self.done = line["step"]
        self.losses.append((line["step"], line["loss"]))
        if len(self.losses) > 2 * POINTS:  # half of them are enough
            self.losses = self.losses[::2]
        self.state = summary(line, self.steps)
        self._draw()

    def evaluated(self, step: int, result: dict) -> None:
        self.validated.append((step, result["val_loss"]))
        self.found = f"step {step}: {evaluation_line(result, self.unit)}"
        self.done = max(self.done, step)
        self._draw(now=True)

    def note(self, text: str) -> None:
        if self.over:
            self._begin()
        self.notes.append(text)
        self._draw(now=True)

    def close(self) -> None:
        """The last drawing: the run is over, or an error has ended it."""
        if self.steps and self.done < self.steps:
            self.state = "stopped"
        elif self.steps:
            self.state = f"{self.steps} steps are done"
        self._draw(now=True)
        self.over = True

    def _draw(self, now: bool = False) -> None:
        if (self.notes or self.steps) and (now or self.area.is_due):
            self.area.draw(self._html(), self._plain())

    def _html(self) -> str:
        parts = [markup.line(note) for note in self.notes]
        if self.steps:
            told = f"{self.done}/{self.steps}  {self.state}"
            parts += [
                markup.line(self.title),
                markup.beside(markup.bar(self.done / self.steps), markup.line(told)),
            ]
        if len(self.losses) > 1:
            curve = markup.curve([self.losses, self.validated], WIDE, HIGH)
            parts.append(markup.picture(curve, "loss by step", WIDE))
        parts += [markup.line(self.found)] if self.found else []
        return f"<div>{''.join(parts)}</div>"

    def _plain(self) -> str:
        told = f"{self.done}/{self.steps}  {self.state}" if self.steps else ""
        return "\n".join(filter(None, [*self.notes, self.title, told, self.found]))
