"""Tasks: what a trained model can be taught, and asked, beside going on with a text."""

from minillm.tasks.classification import Prediction, classify
from minillm.tasks.finetune import finetune

__all__ = ["Prediction", "classify", "finetune"]
