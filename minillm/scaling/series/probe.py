"""How fast each size trains here, measured before a series is planned."""

import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from minillm.errors import MinillmError
from minillm.scaling.series.pool import Task, forks, side_by_side
from minillm.training.config import TrainConfig
from minillm.training.data import EncodedCorpus
from minillm.training.loop import train
from minillm.training.reporter import Silent

WARM_UP = 3  # steps before the clock is started


class _Enough(Exception):
    """The probe has seen what it wanted."""


class _Clock(Silent):
    """Measures the seconds of a training step and then stops the training."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.began = None

    def step(self, line: dict) -> None:
        now = time.perf_counter()
        if self.began is None:
            if line["step"] >= WARM_UP:
                self.began, self.first = now, line["step"]
        elif now - self.began >= self.seconds:
            self.step_seconds = (now - self.began) / (line["step"] - self.first)
            raise _Enough


def probe(
    configs: dict[int, TrainConfig], text: EncodedCorpus, workers: int, seconds: float
) -> dict[int, float]:
    """Seconds of a training step by width, measured within about `seconds`.

    configs: {width: configuration}. The real loop runs on the real text for a moment,
    as many sizes side by side as later in the series: they share caches and memory,
    which slows each one down.
    """
    widths = sorted(configs, reverse=True)
    # Nobody is measured with an idle core beside it.
    filled = widths + [widths[i % len(widths)] for i in range(-len(widths) % workers)]
    each = seconds * workers / len(filled)
    given = text if forks() else None  # what is not inherited is prepared anew
    tasks = [
        Task(f"{width}-{i}", step_seconds, (configs[width], given, each))
        for i, width in enumerate(filled)
    ]
    found = {}
    with closing(side_by_side(tasks, workers)) as events:
        for event in events:
            if event.kind == "failed":
                failure = MinillmError(f"probing {event.task.name}: {event.value}")
                failure.exit_code = event.exit_code
                raise failure
            if event.kind == "answered":
                width = int(event.task.name.split("-")[0])
                found[width] = max(found.get(width, 0.0), event.value)
    return found


def step_seconds(
    _send, config: TrainConfig, text: EncodedCorpus | None, seconds: float
):
    """Train for some seconds into a folder that is thrown away.

    At a rate of 0: a step takes as long at any rate, and nothing can diverge.
    """
    clock = _Clock(seconds)
    with tempfile.TemporaryDirectory() as folder:
        config = replace(config, lr=0.0, branch=False, out=str(Path(folder, "probe")))
        try:
            record = train(config, reporter=clock, text=text, draw=False)
        except _Enough:
            return clock.step_seconds
    return record["results"]["seconds"] / record["results"]["steps"]
