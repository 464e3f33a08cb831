"""Held-out model: the prediction of a law beside the measured loss."""

from dataclasses import dataclass

from minillm.laws.law import LawFit


@dataclass(frozen=True)
class HeldOut:
    """A model that was no part of the fit, and the law's prediction of its loss.

    size: its N. band: the 95 % band of the curve. pure: the prediction of a power law
    without a floor. measured: its loss, None where its run is missing. beyond: its size
    over that of the largest fitted model.
    """

    size: int
    predicted: float
    band: tuple[float, float]
    pure: float
    measured: float | None
    beyond: float

    @property
    def error(self) -> float | None:
        """|predicted/measured − 1|, None where nothing was measured."""
        return abs(self.predicted / self.measured - 1) if self.measured else None

    @property
    def pure_error(self) -> float | None:
        """The same of the power law without a floor."""
        return abs(self.pure / self.measured - 1) if self.measured else None

    def to_json(self) -> dict:
        return {
            "parameters": self.size,
            "predicted": self.predicted,
            "interval95": [float(end) for end in self.band],
            "measured": self.measured,
            "relative_error": self.error,
            "pure_power_relative_error": self.pure_error,
        }


def predict_held_out(law: LawFit, size: int, measured: float | None) -> HeldOut:
    """The prediction of a law of N for a model of this size, beside its loss."""
    return HeldOut(
        size=size,
        predicted=law.predict(size),
        band=law.band(size),
        pure=law.without_floor.predict(size),
        measured=measured,
        beyond=size / law.x[0].max(),
    )
