"""Demonstrations: a small model learns a task whose best answer is known."""

from minillm.demos.demonstration import demo, measure
from minillm.demos.questions import Answer, ask
from minillm.demos.table import DEMOS, SOLVED, Demo

__all__ = ["DEMOS", "SOLVED", "Answer", "Demo", "ask", "demo", "measure"]
