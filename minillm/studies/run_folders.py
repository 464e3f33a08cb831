"""Folders of runs and series, read to compare them and to report on them.

Nearly all keys may be missing: a run of another version, or a series that is not
finished, is shown as far as possible. Keys in use: of scale.json `runs`, `law`
(`excluded`), `sizes` (`width`, `held_out`) and `branches` (`tokens`, `parameters`); of
plan.json `sizes` (`width`, `lr`) and `runs` (`name`, `held_out`).
"""

import statistics
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from minillm.errors import DataError, MinillmError, UsageError
from minillm.json_files import read_lines, read_object
from minillm.kinds import AMOUNT, COUNT, NOT_NEGATIVE, NUMBER
from minillm.laws.held_out import HeldOut, predict_held_out
from minillm.laws.law import LawFit
from minillm.reading import Missing
from minillm.runs import metrics
from minillm.runs.record import KIND as RECORD
from minillm.series.points import fit_medians

# The keys of a series that are read here: `kinds.check`.
CONSTANTS = {
    "parameters?": {str: NUMBER},
    "interval95?": {str: [NUMBER, NUMBER]},
    "warnings?": [str],
}
MODEL = {"width?": AMOUNT, "parameters?": {str: AMOUNT}, "tokens?": AMOUNT}
SCALE = {
    "runs?": [RECORD],
    "law?": {**CONSTANTS, "law?": str, "excluded?": [{"run?": str, "reason?": str}]},
    "law_of_size_and_tokens?": {**CONSTANTS, "law?": str},
    "law_of_tokens?": CONSTANTS,
    "truth?": {
        "entropy": NUMBER,
        "floor": NUMBER,
        "E": {str: NUMBER},
        "relative_error": {str: NUMBER},
    },
    "sizes?": [{**MODEL, "held_out?": bool}],
    "branches?": [{"parameters": {"non_embedding": AMOUNT}, "tokens": AMOUNT}],
    "decoding?": [
        {"parameters": {"non_embedding": AMOUNT}, "seconds_per_token?": NOT_NEGATIVE}
    ],
    "warnings?": [str],
}
PLAN = {
    "ladder?": {"name?": str},
    "sizes?": [{"width?": COUNT, "lr?": NOT_NEGATIVE}],
    "runs?": [{"name?": str, "held_out?": bool}],
    "data?": str,
    "objective?": str,
    "arch?": str,
    "seed?": COUNT,
    "budget?": NOT_NEGATIVE,
}

LEAST_VALUES = 3  # of N and of D, for a law of both
LEAST_POINTS = 8


@dataclass(frozen=True)
class RunRead:
    """A run's record and the lines of its metrics.jsonl ([] without the file)."""

    name: str
    record: dict
    lines: list[dict]

    def get(self, *keys: str):
        """A value deep in the record; None where it is not there."""
        value = self.record
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    @property
    def arch(self) -> str | None:
        """Of a model of one's own, its class."""
        return self.get("config", "class") or self.get("config", "arch")

    @property
    def size(self) -> int | None:
        return self.get("parameters", "non_embedding")

    @property
    def tokens(self) -> int | None:
        return self.get("results", "tokens")

    @property
    def loss(self) -> float | None:
        return self.get("results", "val_loss")

    @property
    def seen(self) -> int | None:
        """Training tokens; for an unfinished run, up to its last logged step."""
        return self.tokens or (self.lines[-1]["tokens"] if self.lines else None)

    @property
    def flops(self) -> float | None:
        """Training FLOPs; for an unfinished run, up to its last logged step."""
        if self.finished:
            return self.get("flops", "total")
        per_token = self.get("flops", "per_token")
        return None if None in (per_token, self.seen) else per_token * self.seen

    @property
    def bits_per_nat(self) -> float | None:
        """A nat per token in bits per byte of the validation text; None if unknown."""
        bits = self.get("results", "val_bits_per_byte")
        return bits / self.loss if bits and self.loss else None

    @property
    def finished(self) -> bool:
        return None not in (self.size, self.tokens, self.loss)


@dataclass(frozen=True)
class Point:
    """Runs of one size and length, with different seeds."""

    size: int
    tokens: int
    losses: tuple[float, ...]

    @property
    def loss(self) -> float:
        return statistics.median(self.losses)


@dataclass(frozen=True)
class Series:
    """A folder of runs; scale and plan are {} where it is no folder of `scale`."""

    path: Path
    scale: dict
    plan: dict
    runs: list[RunRead]

    @cached_property
    def excluded(self) -> dict[str, str]:
        """The runs that no law is fitted to, with the reason."""
        said = (self.scale.get("law") or {}).get("excluded") or []
        found = {str(e["run"]): str(e.get("reason", "")) for e in said if "run" in e}
        for run in self.runs:
            if run.get("status") == "diverged":
                found.setdefault(run.name, "it diverged")
            elif not run.finished:
                found.setdefault(run.name, "it is not finished")
        return found

    @cached_property
    def held_out(self) -> list[RunRead]:
        """The finished runs that the law has to predict."""
        names = {r.get("name") for r in self.plan.get("runs", []) if r.get("held_out")}
        widths = {s["width"] for s in self.scale.get("sizes", []) if s.get("held_out")}
        return [
            run
            for run in self.runs
            if run.finished
            and (run.name in names or run.get("config", "d_model") in widths)
        ]

    @cached_property
    def rate_checks(self) -> list[RunRead]:
        """The finished runs at another learning rate than the series' own."""
        rates = {s.get("width"): s.get("lr") for s in self.plan.get("sizes", [])}
        found = []
        for run in self.runs:
            own, usual = (
                run.get("options", "lr"),
                rates.get(run.get("config", "d_model")),
            )
            if run.finished and own and usual and abs(own / usual - 1) > 0.01:
                found.append(run)
        return found

    @cached_property
    def fitted(self) -> list[RunRead]:
        """The runs that laws are fitted to: finished, neither held out nor excluded,
        and no checks of the learning rate."""
        others = [*self.held_out, *self.rate_checks]
        return [
            run
            for run in self.runs
            if run.finished and run.name not in self.excluded and run not in others
        ]

    @cached_property
    def points(self) -> list[Point]:
        return points(self.fitted)

    @cached_property
    def points_of_both(self) -> list[Point]:
        """The points of L(N, D), without those that `scale` found in a transition."""
        branches = self.scale.get("branches")
        if branches is None:
            return self.points
        kept = {(b["parameters"]["non_embedding"], b["tokens"]) for b in branches}
        return [point for point in self.points if (point.size, point.tokens) in kept]

    @cached_property
    def law_of_size(self) -> LawFit:
        """L(N) of the runs of the usual length. Raises MinillmError."""
        return _fit(self.points_of_size, "N")

    @cached_property
    def points_of_size(self) -> list[Point]:
        """The points of the commonest length, the longest of several."""
        lengths = {}
        for point in self.points:
            lengths.setdefault(point.tokens, []).append(point)
        if not lengths:
            return []
        most = max(len(same) for same in lengths.values())
        tokens = max(n for n, same in lengths.items() if len(same) == most)
        return lengths[tokens]

    @cached_property
    def law_of_both(self) -> LawFit | None:
        """L(N, D), where there are three values of each or more.

        Runs of one size begin alike, and branches share their whole trunk: they share
        noise.
        """
        found = self.points_of_both
        sizes = {point.size for point in found}
        lengths = {point.tokens for point in found}
        if min(len(sizes), len(lengths)) < LEAST_VALUES or len(found) < LEAST_POINTS:
            return None
        return _fit(found, "ND", group="N")

    def prediction(self, law: LawFit) -> HeldOut | None:
        """The largest held-out model of the law's length, beside its prediction by a
        law of size; None without any."""
        tokens = self.points_of_size[0].tokens
        runs = [run for run in self.held_out if run.tokens == tokens]
        if not runs:
            return None
        size = max(run.size for run in runs)
        measured = statistics.median(run.loss for run in runs if run.size == size)
        return predict_held_out(law, size, measured)

    @cached_property
    def several(self) -> list[str]:
        """The kinds of settings that differ, and in a series should not: the text, …"""
        kinds = {
            "architectures": {run.arch for run in self.fitted},
            "texts": {run.get("data", "sha256") for run in self.fitted},
            "tokenizers": {
                run.get("data", "tokenizer", "sha256") for run in self.fitted
            },
            "objectives": {run.get("config", "objective") for run in self.fitted},
        }
        return [name for name, values in kinds.items() if len(values) > 1]

    def check_alike(self) -> None:
        """Raises UsageError for runs that cannot have a law in common."""
        if self.several:
            raise UsageError(
                f"{self.path}: its runs are of different {' and '.join(self.several)}: "
                f"no one law holds for them"
            )


def points(runs: list[RunRead]) -> list[Point]:
    """The runs gathered by size and length, the smallest first."""
    losses = {}
    for run in runs:
        losses.setdefault((run.size, run.tokens), []).append(run.loss)
    return [Point(*key, tuple(same)) for key, same in sorted(losses.items())]


def _fit(found: list[Point], variables: str, group: str | None = None) -> LawFit:
    if not found:
        raise MinillmError("there is no finished run to fit a law to")
    columns = {"N": [p.size for p in found], "D": [p.tokens for p in found]}
    columns = {name: columns[name] for name in variables}
    return fit_medians(found, columns, group, source="the runs")


def read_run(folder: Path) -> RunRead:
    """A run folder. Raises DataError for one that is missing or cannot be read."""
    folder = Path(folder)
    refuse_file(folder)
    if not (folder / "run.json").exists():
        raise DataError(f"{folder}: holds no run: there is no run.json in it")
    found = read_object(folder / "run.json", RECORD)
    return RunRead(folder.resolve().name, found, _lines(folder / "metrics.jsonl"))


def read_series(folder: Path) -> Series:
    """A folder of `scale`, or one that holds run folders. Raises DataError."""
    folder = Path(folder)
    refuse_file(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder")
    scale, plan = (
        read_object(folder / name, kind) if (folder / name).exists() else {}
        for name, kind in (("scale.json", SCALE), ("plan.json", PLAN))
    )
    places = folders_of_runs(folder)
    runs = [read_run(place) for place in places]
    names = {run.name for run in runs}
    for record in scale.get("runs") or []:  # where only scale.json was kept
        name = Path(str((record.get("options") or {}).get("out") or "run")).name
        if not places and name not in names:
            runs.append(RunRead(name, record, []))
    if not runs:
        raise DataError(
            f"{folder}: holds no runs: give a folder of `minillm scale`, or one that "
            f"holds folders of `minillm train`"
        )
    runs.sort(key=lambda run: (run.size or 0, run.tokens or 0, run.name))
    return Series(folder, scale, plan, runs)


def folders_of_runs(folder: Path) -> list[Path]:
    """The run folders in a folder and in its `runs/`; itself, if it is one."""
    patterns = ("run.json", "*/run.json", "runs/*/run.json")
    return sorted(path.parent for name in patterns for path in folder.glob(name))


def refuse_file(path: Path) -> None:
    """Raises DataError for a file where the folder of a run or of a series belongs."""
    if path.is_file():
        raise DataError(
            f"{path}: is a file, not a folder: a table of runs is for `minillm fit`, "
            f"`isoflop` and `plan --law`"
        )


def _lines(path: Path) -> list[dict]:
    """The lines of a metrics.jsonl that have a loss; [] without the file."""
    try:
        return [
            line
            for line in read_lines(path, metrics.KIND)
            if "loss" in line and "tokens" in line
        ]
    except Missing:
        return []
