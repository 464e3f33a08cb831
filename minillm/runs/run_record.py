"""The record of a run as `train` returns it: a dictionary with attributes, which shows
itself in a notebook."""

import importlib
from pathlib import Path

from minillm.keyed import Keyed


class RunRecord(Keyed):
    """run.json: its keys, as items and as attributes."""

    def _repr_html_(self) -> str:
        folder = (self.get("options") or {}).get("out") or ""
        return self.page(Path(folder))

    def page(self, folder: Path) -> str:
        """HTML: the figures, and the learning curve if it lies in that folder."""
        # By name: what draws the curve reads runs, and so imports this file.
        page = importlib.import_module("minillm.runs.run_page")
        return page.run_html(self, folder)
