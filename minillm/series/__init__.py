"""A series: sizes trained alike, within a budget of time, and the laws they follow."""

from minillm.lazy import lazy_names

__all__, __getattr__, __dir__ = lazy_names(__name__, {"scaling": ["scale"]})
