"""Report of a series: one HTML page with its laws, curves and warnings."""

from minillm.studies.report.page import report

__all__ = ["report"]
