"""Progress of a run: one live line on stderr."""

import time

from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
from rich.text import Text

from minillm.learning.config import TrainConfig
from minillm.runs.record import model_of
from minillm.text import OBJECTIVES
from minillm.visible import console

SECONDS_BETWEEN_LINES = 10  # where stderr is no terminal


class Reporter:
    """Shows a run on stderr: a live line in a terminal, else a line now and then."""

    def __init__(self):
        self.console = console(stderr=True, soft_wrap=True)
        self.progress = None
        self.last_line = 0.0

    def start(self, record: dict) -> None:
        self.steps = record["options"]["steps"]
        config = TrainConfig.from_json(record["options"])
        self.unit = config.loss_unit
        windows = OBJECTIVES[config.objective].kind == "windows"
        self.whole = "every whole window" if windows else "all"
        self.console.print(beginning(record))
        if self.console.is_terminal:
            self.progress = Progress(
                BarColumn(bar_width=24),
                TextColumn("{task.completed}/{task.total}"),
                _Fields(),
                console=self.console,
            )
            self.progress.start()
            self.task = self.progress.add_task("", total=self.steps)

    def step(self, line: dict) -> None:
        if self.progress:
            self.progress.update(self.task, completed=line["step"], line=line)
        elif time.perf_counter() - self.last_line > SECONDS_BETWEEN_LINES:
            self.last_line = time.perf_counter()
            step = f"step {line['step']}/{self.steps}"
            self.console.print(f"{step}  {summary(line, self.steps)}")

    def evaluated(self, step: int, result: dict) -> None:
        # Those on the way look at a share of the validation part only.
        line = f"step {step}/{self.steps}  {evaluation_line(result, self.unit)}"
        if step == self.steps:
            line += f"  ({self.whole} of the validation part)"
        self.console.print(line)

    def note(self, text: str) -> None:
        self.console.print(text)

    def finish(self, record: dict) -> None:
        """Nothing: what was found is the command's to print."""

    def close(self) -> None:
        """Take the live line away."""
        if self.progress:
            self.progress.stop()
            self.progress = None


class _Fields(ProgressColumn):
    """Loss, speed and time left, from the last line of metrics."""

    def render(self, task) -> Text:
        line = task.fields.get("line")
        return Text(summary(line, task.total) if line else "")


def beginning(record: dict) -> str:
    """What a run is about to do, in words."""
    data, workers = record["data"], record["workers"]
    tokens = round(data["epochs"] * data["train_tokens"])
    return (
        f"{model_of(record)}, {record['parameters']['total']:,} parameters; "
        f"{data['name']} by {data['tokenizer']['kind']}, "
        f"{data['train_tokens']:,} tokens; {tokens:,} to train on "
        f"({data['epochs']:.2f} epochs); {record['device']}, "
        f"{workers['n']} {workers['kind'] if workers['n'] > 1 else 'worker'}"
    )


def summary(line: dict, steps: int) -> str:
    """A line of metrics in words, in a run of so many steps."""
    left = clock(line["seconds"] * (steps - line["step"]) / line["step"])
    speed = f"{line['tokens_per_second']:,.0f} tokens/s"
    return f"loss {line['loss']:.3f}  {speed}  {left} left"


def evaluation_line(result: dict, unit: str) -> str:
    per_byte = result["val_bits_per_byte"]
    bits = "" if per_byte is None else f", {per_byte:.3f} bits/byte"
    right = result["val_accuracy"]
    accuracy = "" if right is None else f", accuracy {right:.1%}"
    return f"validation loss {result['val_loss']:.4f} {unit}{bits}{accuracy}"


def clock(seconds: float) -> str:
    """90 -> '1:30'."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
