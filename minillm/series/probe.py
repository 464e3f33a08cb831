"""Probe: how fast each size trains here, measured before a series is planned."""

import time
from contextlib import closing
from dataclasses import replace

from minillm.errors import MinillmError
from minillm.learning.config import TrainConfig
from minillm.learning.data import EncodedCorpus, prepare
from minillm.learning.learner import Learner
from minillm.learning.process import keep_freed_memory
from minillm.series.pool import Task, forks, side_by_side

WARM_UP = 3  # steps before the clock is started


def probe(
    configs: dict[int, TrainConfig], text: EncodedCorpus, workers: int, seconds: float
) -> dict[int, float]:
    """Seconds of a training step by width, measured within about `seconds`.

    configs: {width: configuration}. Real steps on the real text are done for a moment,
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
    """The seconds of a training step, measured for so many seconds.

    At a rate of 0: a step takes as long at any rate, and nothing can diverge.
    """
    keep_freed_memory()
    config = replace(config, lr=0.0).resolve()
    with Learner(config, text or prepare(config), workers=config.workers) as learner:
        for number in range(min(WARM_UP, config.steps - 1)):
            learner.step(number)
        began, first = time.perf_counter(), learner.next
        for number in range(first, config.steps):
            learner.step(number)
            passed = time.perf_counter() - began
            if passed >= seconds:
                break
        return passed / (learner.next - first)
