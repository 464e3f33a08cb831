"""Studies of many runs and their laws: advice, comparisons, reports, emergence."""
