"""The scaling laws: forms, their fit, intervals, rivals, warnings, figures, isoFLOP."""

from minillm.laws.fitting import fit, fit_power
from minillm.laws.isoflop.fitting import fit_isoflop
from minillm.laws.law import LawFit

__all__ = ["LawFit", "fit", "fit_isoflop", "fit_power"]
