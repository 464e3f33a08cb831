"""Attention maps: what each head of a trained transformer looks at in a text."""

from minillm.inspect.attention.attention_figure import draw_attention
from minillm.inspect.attention.maps import AttentionMap, attention_maps, in_parts
from minillm.inspect.attention.watch import watched

__all__ = ["AttentionMap", "attention_maps", "draw_attention", "in_parts", "watched"]
