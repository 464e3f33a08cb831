"""The laws that a folder of runs allows, and why others are missing."""

import statistics
from dataclasses import dataclass, field

import numpy as np

from minillm.errors import MinillmError
from minillm.laws.fitting import fit
from minillm.laws.law import LawFit
from minillm.reading import read_object
from minillm.studies.compare.compare_runs import differences_besides_size
from minillm.studies.held_out import HeldOut, held_out
from minillm.studies.run_folders import SCALE, Series


@dataclass
class Laws:
    """What could be fitted; missing: a sentence for each law that could not."""

    size: LawFit | None = None
    both: LawFit | None = None
    powers: dict[str, LawFit] = field(default_factory=dict)
    held_out: HeldOut | None = None
    growth_interval: list[float] | None = None
    missing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def fit_laws(series: Series) -> Laws:
    """Fit what can be fitted to the runs of a folder, and say what cannot."""
    laws = Laws()
    if series.several:
        laws.missing.append(
            f"No law: the runs are of different {' and '.join(series.several)}, and "
            f"their losses cannot be compared."
        )
        return laws
    try:
        laws.size = series.law_of_size
        laws.both = series.law_of_both
    except MinillmError as error:
        laws.missing.append(f"No law of the loss: {error}.")
    if laws.both is None and len({point.tokens for point in series.points}) > 1:
        laws.missing.append(
            "No law of size and text, L(N, D): it needs three lengths of training or "
            "more (`minillm scale --preset hour`)."
        )
    laws.warnings = [*_told(series, laws), *_mixed(series)]
    if laws.size is not None:
        laws.held_out = held_out(series, laws.size)
    if laws.both is not None:
        laws.growth_interval = _growth(laws.both)
    _fit_powers(series, laws)
    return laws


def _told(series: Series, laws: Laws) -> list[str]:
    """What the series has warned of already, or else the fits' own doubts."""
    if "warnings" in series.scale:
        return list(map(str, series.scale["warnings"]))
    fits = [law for law in (laws.size, laws.both) if law is not None]
    return [warning for law in fits for warning in law.warnings]


def _mixed(series: Series) -> list[str]:
    """Settings besides the size that the runs of a law do not share."""
    found = differences_besides_size(series.fitted)
    if not found:
        return []
    values = "; ".join(
        f"{name}: {', '.join(dict.fromkeys(map(str, values)))}"
        for name, values in found.items()
    )
    return [f"the runs differ in more than their size ({values}): so may their losses"]


def _growth(law: LawFit) -> list[float] | None:
    """The 95 % interval of beta/(alpha + beta), the exponent of the best size."""
    alpha, beta = law.resamples.theta[:, 2], law.resamples.theta[:, 4]
    if not (np.all(alpha > 0) and np.all(beta > 0)):
        return None
    return [float(e) for e in np.quantile(beta / (alpha + beta), [0.025, 0.975])]


def _fit_powers(series: Series, laws: Laws) -> None:
    """Accuracy, seconds of training and of decoding by size, as `scale` fits them."""
    tokens = series.points_of_size[0].tokens if series.points_of_size else None
    held_out = {run.name for run in series.held_out}
    trained = [
        run
        for run in series.runs
        if run.tokens == tokens
        and run.finished
        and (run in series.fitted or run.name in held_out)
    ]
    tables = {
        "accuracy": (_medians(trained, "val_accuracy"), True),
        "train_seconds": (_medians(trained, "seconds"), False),
        "decode_seconds_per_token": (_decoding(series), False),
    }
    names = {
        "accuracy": "accuracy",
        "train_seconds": "seconds of training",
        "decode_seconds_per_token": "seconds of decoding",
    }
    for name, (values, ceiling) in tables.items():
        columns = {"N": list(values), name: list(values.values())}
        try:
            if not values:
                raise MinillmError("nothing was measured")
            laws.powers[name] = fit(columns, y=name, ceiling=ceiling)
        except MinillmError as error:
            laws.missing.append(f"No law of {names[name]}: {error}.")


def _medians(runs: list, key: str) -> dict[int, float]:
    """{size: median of a result}"""
    found = {}
    for run in runs:
        if run.get("results", key):
            found.setdefault(run.size, []).append(run.get("results", key))
    return {size: statistics.median(values) for size, values in sorted(found.items())}


def _decoding(series: Series) -> dict[int, float]:
    """{size: seconds per token}, of a series that has timed it alone on the machine."""
    points = series.scale.get("decoding") or []
    path = series.path / "decoding.json"
    if not points and path.exists():
        points = read_object(path, {"points?": SCALE["decoding?"]}).get("points") or []
    return {
        point["parameters"]["non_embedding"]: point["seconds_per_token"]
        for point in points
        if point.get("seconds_per_token") is not None
    }
