"""Compare runs, or series: settings, results, learning curves, laws."""

from minillm.studies.compare.folders import compare

__all__ = ["compare"]
