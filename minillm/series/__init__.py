"""A series: sizes trained alike, within a budget of time, and what they come to."""

from minillm.series.scale import scale

__all__ = ["scale"]
