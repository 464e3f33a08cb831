"""A series: sizes trained alike, within a budget of time, and the laws they follow."""

from minillm.series.scale import scale

__all__ = ["scale"]
