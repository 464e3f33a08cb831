"""Runs side by side: settings, results, learning curves."""

from minillm.scaling.compare.side_by_side import compare

__all__ = ["compare"]
