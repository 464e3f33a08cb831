"""The laws of a folder of runs, and the reasons why others are missing."""

from dataclasses import dataclass, field

from minillm.errors import MinillmError, call
from minillm.json_files import read_object
from minillm.laws.held_out import HeldOut
from minillm.laws.law import LawFit
from minillm.laws.sweep import medians
from minillm.series.results import decoding_speeds, fit_by_size
from minillm.studies.compare.compare_runs import differences_besides_size
from minillm.studies.run_folders import SCALE, Series


@dataclass
class Laws:
    """The fitted laws; missing: a sentence for each law that could not be fitted."""

    size: LawFit | None = None
    both: LawFit | None = None
    powers: dict[str, LawFit] = field(default_factory=dict)
    held_out: HeldOut | None = None
    missing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def fit_laws(series: Series) -> Laws:
    """Fit all laws that the runs of a folder allow."""
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
            f"more (`{call('scale', preset='hour')}`)."
        )
    laws.warnings = [*_known_warnings(series, laws), *_mixed(series)]
    if laws.size is not None:
        laws.held_out = series.prediction(laws.size)
    _fit_powers(series, laws)
    return laws


def _known_warnings(series: Series, laws: Laws) -> list[str]:
    """The warnings of the series, or those of the fits where it has none yet."""
    if "warnings" in series.scale:
        return list(map(str, series.scale["warnings"]))
    fits = [law for law in (laws.size, laws.both) if law is not None]
    return [warning for law in fits for warning in law.warnings]


def _mixed(series: Series) -> list[str]:
    """A warning of settings besides the size that differ between the runs."""
    found = differences_besides_size(series.fitted)
    if not found:
        return []
    values = "; ".join(
        f"{name}: {', '.join(dict.fromkeys(map(str, values)))}"
        for name, values in found.items()
    )
    return [f"the runs differ in more than their size ({values}): so may their losses"]


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
        "accuracy": ("accuracy", _medians(trained, "val_accuracy")),
        "train_seconds": ("seconds of training", _medians(trained, "seconds")),
        "decode_seconds_per_token": ("seconds of decoding", _decoding(series)),
    }
    for name, (words, table) in tables.items():
        try:
            if table is None:
                raise MinillmError("nothing was measured")
            laws.powers[name] = fit_by_size(name, *table)
        except MinillmError as error:
            laws.missing.append(f"No law of {words}: {error}.")


def _medians(runs: list, key: str) -> tuple[list, list] | None:
    """Sizes N, and the median of a result at each; None without any."""
    known = [(run.size, value) for run in runs if (value := run.get("results", key))]
    return medians(*zip(*known, strict=True)) if known else None


def _decoding(series: Series) -> tuple[list, list] | None:
    """The decoding speeds of a series; None where nothing was timed."""
    points = series.scale.get("decoding") or []
    path = series.path / "decoding.json"
    if not points and path.exists():
        points = read_object(path, {"points?": SCALE["decoding?"]}).get("points") or []
    return decoding_speeds(points)
