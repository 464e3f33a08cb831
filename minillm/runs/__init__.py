"""A run is a folder: what a run writes into it, and what can be read back."""

from minillm.runs.run import Run, load_run, read_record

__all__ = ["Run", "load_run", "read_record"]
