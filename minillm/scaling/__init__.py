"""The scaling laboratory: how loss, accuracy, speed and cost change with size."""

from minillm.scaling.fitting import fit, fit_power
from minillm.scaling.isoflop.fitting import fit_isoflop
from minillm.scaling.law import LawFit

__all__ = ["LawFit", "fit", "fit_isoflop", "fit_power"]
