"""Advice from a fitted law: the model size and the tokens for a budget."""

from minillm.studies.advice.answer import advise
from minillm.studies.advice.source import read_law

__all__ = ["advise", "read_law"]
