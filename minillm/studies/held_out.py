"""The model that a law has to predict, beside what the law says of it."""

import statistics
from dataclasses import dataclass

from minillm.laws.law import LawFit
from minillm.studies.run_folders import Series


@dataclass(frozen=True)
class HeldOut:
    """A model that was no part of the fit: its size, what the law says, what it is."""

    size: int
    beyond: float  # times the largest fitted size
    predicted: float
    band: tuple[float, float]
    measured: float
    pure: float  # what a power law without a floor says

    @property
    def error(self) -> float:
        return abs(self.predicted / self.measured - 1)

    @property
    def pure_error(self) -> float:
        return abs(self.pure / self.measured - 1)


def held_out(series: Series, law: LawFit) -> HeldOut | None:
    """The largest model held out, of the law's length; None where there is none."""
    tokens = series.points_of_size[0].tokens
    runs = [run for run in series.held_out if run.tokens == tokens]
    if not runs:
        return None
    size = max(run.size for run in runs)
    return HeldOut(
        size=size,
        beyond=size / law.x[0].max(),
        predicted=law.predict(size),
        band=law.band(size),
        measured=statistics.median(run.loss for run in runs if run.size == size),
        pure=law.without_floor.predict(size),
    )
