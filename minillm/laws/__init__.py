"""Scaling laws, from a table of runs to a law with its intervals. NumPy is enough.

First walk, in order of use:

- `formula.py`: y = E + A·x^(−alpha), the form of a law
- `huber.py`: Huber loss of the residuals, with its derivatives
- `minimise.py`: the parameters with the least loss
- `fitting.py`: `fit`, from a table to a fitted law
- `law.py`: `LawFit`, the fitted law: parameters, predictions, verdicts
- `bootstrap.py`, `variance.py`: 95 % intervals, and the noise they come from
- `aicc.py`, `influence.py`: rival formulas, and the points that decide
- `held_out.py`: a model that was no part of the fit, predicted and measured
- `warnings.py`, `table_warnings.py`: reasons to distrust the fit, and its table
- `law_figure.py`: its picture

Tables of runs: `runs_table.py`, read by `runs_file.py` (`delimited.py`,
`json_table.py`, `written_numbers.py`); `quantities.py` knows columns by their names,
`sweep.py` takes the best learning rate.
isoFLOP: `isoflop.py` over `isoflop_budgets.py` and `isoflop_profile.py`, with
`isoflop_warnings.py` and `isoflop_figure.py`.
"""

from minillm.laws.fitting import fit, fit_power
from minillm.laws.isoflop import IsoFlop, fit_isoflop
from minillm.laws.law import LawFit

__all__ = ["IsoFlop", "LawFit", "fit", "fit_isoflop", "fit_power"]
