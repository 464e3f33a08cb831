"""A model of a series, trained branch by branch in a process of its own."""

import time
from dataclasses import replace
from pathlib import Path

from minillm.learning.config import TrainConfig
from minillm.learning.data import EncodedCorpus
from minillm.runs.logbook import Silent
from minillm.runs.train import train

SECONDS_BETWEEN_LINES = 0.3  # that a run sends


def train_run(send, configs: list[TrainConfig], text: EncodedCorpus | None) -> None:
    """Train or resume one model of a series, branch by branch, each from the step at
    which the one before began to cool down."""
    start = None
    for config in configs:
        resume = Path(config.out, "run.json").exists()
        config = replace(config, start=start)
        train(config, reporter=_Sender(send), resume=resume, text=text, draw=False)
        start = config.out


class _Sender(Silent):
    """Sends a line of metrics now and then."""

    def __init__(self, send):
        self.send = send
        self.last = 0.0

    def step(self, line: dict) -> None:
        now = time.perf_counter()
        if now - self.last > SECONDS_BETWEEN_LINES:
            self.last = now
            self.send(line)
