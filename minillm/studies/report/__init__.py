"""A series as one HTML page: its laws, its curves, its doubts."""

from minillm.studies.report.page import report

__all__ = ["report"]
