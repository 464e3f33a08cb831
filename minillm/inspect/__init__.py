"""Looking at the machine and into the model: `doctor`, `bench`, `draw`."""

from minillm.inspect.graph import draw

__all__ = ["draw"]
