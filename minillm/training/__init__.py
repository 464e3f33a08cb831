"""Training: from a configuration to a run folder."""

from minillm.training.config import TrainConfig
from minillm.training.folder import Run, load_run
from minillm.training.loop import train

__all__ = ["Run", "TrainConfig", "load_run", "train"]
