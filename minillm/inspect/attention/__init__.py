"""Attention maps: the attention weights of each head of a transformer on a text."""

from minillm.inspect.attention.attention_figure import draw_attention
from minillm.inspect.attention.maps import AttentionMap, attention_maps, in_parts
from minillm.inspect.attention.watch import watched

__all__ = ["AttentionMap", "attention_maps", "draw_attention", "in_parts", "watched"]
