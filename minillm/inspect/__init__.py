"""Inspection of models and machines: attention maps, graphs, benchmarks."""

from minillm.inspect.attention import attention_maps, draw_attention
from minillm.inspect.graph import draw

__all__ = ["attention_maps", "draw", "draw_attention"]
