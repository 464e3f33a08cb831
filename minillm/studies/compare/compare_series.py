"""Compare series: their laws, and whether their losses can be compared."""

from dataclasses import dataclass
from pathlib import Path

from minillm.errors import MinillmError, UsageError
from minillm.figures import short
from minillm.laws.held_out import HeldOut
from minillm.laws.law import LawFit
from minillm.studies.compare.compare_runs import differences_besides_size, told_apart
from minillm.studies.run_folders import Series, read_series


@dataclass(frozen=True)
class SeriesLaw:
    """A series with its law L(N), at the length of most of its runs."""

    label: str
    series: Series
    law: LawFit
    held_out: HeldOut | None

    @property
    def first(self):
        """Its smallest run, for the settings that all its runs share."""
        return self.series.fitted[0]

    @property
    def tokens(self) -> int:
        return self.series.points_of_size[0].tokens

    @property
    def text(self) -> str | None:
        return self.first.get("data", "name")

    def to_json(self) -> dict:
        held_out = self.held_out and self.held_out.to_json()
        if held_out:
            del held_out["pure_power_relative_error"]
        return {
            "label": self.label,
            "path": str(self.series.path),
            "arch": self.first.arch,
            "data": self.text,
            "tokens": self.tokens,
            "vocab_size": self.first.get("data", "tokenizer", "vocab_size"),
            "law": self.law.to_json(),
            "held_out": held_out,
        }


def compare_series(paths: list[Path], *, plot: str | Path | None) -> dict:
    """The laws of series side by side; see `compare`."""
    every = [read_series(path) for path in paths]
    names = told_apart(paths)
    found = [
        _with_law(series, label)
        for series, label in zip(every, _labels(every, names), strict=True)
    ]
    if plot:
        from minillm.figures import save
        from minillm.studies.compare.comparison_figures import draw_series

        plot = str(save(draw_series(found), plot).resolve())
    return {
        "series": [one.to_json() for one in found],
        "at": _at_one_size(found),
        "differences": _differences(found),
        "figure": plot or None,
        "warnings": [*_comparability(found), *_of_laws(found)],
    }


def _labels(every: list[Series], names: list[str]) -> list[str]:
    """Architectures, or folders where these do not tell the series apart."""
    found = [series.runs[0].arch for series in every]
    return found if None not in found and len(set(found)) == len(found) else names


def _with_law(series: Series, label: str) -> SeriesLaw:
    series.check_alike()
    try:
        law = series.law_of_size
    except MinillmError as error:
        raise UsageError(f"{series.path}: no law to compare: {error}") from None
    return SeriesLaw(label, series, law, series.prediction(law))


def _differences(found: list[SeriesLaw]) -> dict[str, list]:
    """The settings that differ, without those that `to_json` names."""
    differ = differences_besides_size([one.first for one in found])
    return {name: v for name, v in differ.items() if name not in ("arch", "data")}


def _at_one_size(found: list[SeriesLaw]) -> dict | None:
    """The loss by each law at the largest size that all of them were measured at;
    None where their ranges do not meet."""
    least = max(float(one.law.x.min()) for one in found)
    most = min(float(one.law.x.max()) for one in found)
    if least > most:
        return None
    bands = [one.law.band(most) for one in found]
    return {
        "parameters": most,
        "loss": [one.law.predict(most) for one in found],
        "interval95": [[float(end) for end in band] for band in bands],
    }


def _comparability(found: list[SeriesLaw]):
    """Warnings about losses that cannot be compared."""

    def differ(*keys: str) -> bool:
        return len({one.first.get(*keys) for one in found}) > 1

    if differ("config", "objective"):
        yield (
            "the series have different objectives: their losses answer different "
            "questions and cannot be compared"
        )
    if differ("data", "sha256"):
        yield (
            "the series read different texts: their losses cannot be compared, and a "
            "lower one may only mean an easier text"
        )
    if differ("data", "tokenizer", "sha256"):
        sizes = [str(one.first.get("data", "tokenizer", "vocab_size")) for one in found]
        yield (
            f"the series have different tokenizers (vocabularies of "
            f"{', '.join(sizes)}): their losses per token cannot be compared"
        )
    if len({one.tokens for one in found}) > 1:
        tokens = ", ".join(short(one.tokens) for one in found)
        yield (
            f"the series read different numbers of tokens ({tokens} for each model): "
            f"part of a difference is that of length"
        )
    same = not differ("config", "arch") and not differ("config", "d_model")
    if same and differ("options", "lr"):
        rates = ", ".join(f"{one.first.get('options', 'lr'):.2g}" for one in found)
        yield (
            f"the series have different learning rates ({rates} at one width): part of "
            f"a difference is theirs"
        )
    if _at_one_size(found) is None:
        yield (
            "the series have no size in common: beside each other their laws are "
            "extrapolations; add runs where they meet"
        )


def _of_laws(found: list[SeriesLaw]):
    for one in found:
        for warning in one.law.warnings:
            yield f"{one.label}: {warning}"
