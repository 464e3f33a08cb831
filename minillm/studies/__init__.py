"""Studies: what is made of many runs and their laws: advice, comparisons, pages."""
