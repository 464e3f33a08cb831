"""How large a model, and on how much text: advice from a fitted law."""

from minillm.studies.advice.answer import advise
from minillm.studies.advice.source import read_law

__all__ = ["advise", "read_law"]
