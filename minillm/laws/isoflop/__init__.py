"""The best model size of each compute budget, and the laws these sizes follow."""

from minillm.laws.isoflop.fitting import fit_isoflop

__all__ = ["fit_isoflop"]
