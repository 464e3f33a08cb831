"""Advice from a fitted law: how large a model, on how much text."""

from minillm.studies.advice.answer import advise
from minillm.studies.advice.source import read_law

__all__ = ["advise", "read_law"]
