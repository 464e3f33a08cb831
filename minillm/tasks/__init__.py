"""Tasks: what a trained model can be taught, and asked, beside going on with a text."""

from minillm.tasks.classification import Prediction, classify
from minillm.tasks.embedding import embed, save_vectors
from minillm.tasks.finetune import finetune
from minillm.tasks.reading import cut_note
from minillm.tasks.retrieval import Hit, search

__all__ = [
    "Hit",
    "Prediction",
    "classify",
    "cut_note",
    "embed",
    "finetune",
    "save_vectors",
    "search",
]
