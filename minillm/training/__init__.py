"""Training: from a configuration to a run folder."""

from minillm.training.config import TrainConfig
from minillm.training.loop import train
from minillm.training.run_folder.run import Run, load_run

__all__ = ["Run", "TrainConfig", "load_run", "train"]
