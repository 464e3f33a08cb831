"""A series: sizes trained alike, within a budget of time, and what they come to."""

from minillm.scaling.series.start import scale

__all__ = ["scale"]
