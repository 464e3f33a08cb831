"""Emergence: an ability that appears suddenly by one measure, and steadily by another.

For models of a series on `facts`: how often the next character of a value is right, and
how often a whole value is. Both are counts over the same predictions. Where characters
fail independently of each other, a value of L of them is whole with the probability
accuracy^L, which stays near 0 for long and then leaps, however smoothly the accuracy
rises (Schaeffer et al. 2023).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from minillm.errors import DataError, UsageError, call, option
from minillm.figures import COLOURS, log_axis, new_figure, short, style
from minillm.laws.sweep import medians
from minillm.runs.run import Run, load_run, read_record
from minillm.studies.run_folders import folders_of_runs, refuse_file
from minillm.tensor import no_grad
from minillm.text import load_corpus, validation_windows
from minillm.text.synthetic.by_name import generated
from minillm.text.synthetic.facts import Facts

LIMIT = 65_536  # validation tokens that are looked at, at most
AT_A_TIME = 64  # sequences
EXPLAINED = 0.2  # of the fall may be missing, or be too much
SHORT = 4  # characters: too few for a jump


@dataclass(frozen=True)
class Point:
    """One model.

    N: its non-embedding parameters. tokens: those it was trained on. accuracy: the
    share of right characters of values; exact_match: the share of right whole values;
    values: their number.
    """

    run: str
    N: int
    tokens: int
    accuracy: float
    exact_match: float
    values: int


@dataclass(frozen=True)
class Emergence:
    """The models of a series by size, on one corpus. left_out: [{"run", "reason"}]."""

    data: str
    length: int
    points: tuple[Point, ...]
    left_out: tuple[dict, ...] = ()

    @property
    def predicted(self) -> list[float]:
        """accuracy^length of every model."""
        return [point.accuracy**self.length for point in self.points]

    @property
    def fall(self) -> float:
        """The gap between accuracy and exact match, relative to that of independent
        errors: Σ (accuracy − exact match) / Σ (accuracy − accuracy^length)."""
        measured = sum(point.accuracy - point.exact_match for point in self.points)
        accuracy = sum(point.accuracy for point in self.points)
        expected = accuracy - sum(self.predicted)
        return measured / expected if expected > 0 else 1.0

    @property
    def explained(self) -> bool:
        """Whether independent errors explain the exact matches."""
        return abs(self.fall - 1) <= EXPLAINED

    @property
    def sentence(self) -> str:
        """The finding of the figure, in a sentence to quote."""
        gaps = [point.accuracy - point.exact_match for point in self.points]
        at = int(np.argmax(gaps))
        point = self.points[at]
        counted = (
            f"At N = {short(point.N)} {point.accuracy:.0%} of the characters of values "
            f"are right, but {point.exact_match:.0%} of the values of {self.length} "
            f"characters ({point.accuracy:.2f}^{self.length} = "
            f"{self.predicted[at]:.0%})"
        )
        if self.explained and self.length < SHORT:
            return (
                f"{counted}: exact match ≈ accuracy^{self.length}, but values so short "
                "show no jump; train on longer ones, as in "
                "facts:a=-1,keys=128,values=1000000."
            )
        if self.explained:
            return (
                f"{counted}: exact match ≈ accuracy^{self.length}, so that a steady "
                "rise of the one is a sudden jump of the other."
            )
        return (
            f"{counted}: exact match falls {self.fall:.0%} as far below accuracy as "
            f"accuracy^{self.length} does. The errors are not independent; below 100 % "
            "they come together, and a value is rather known whole or not at all."
        )

    def to_json(self) -> dict:
        points = [
            {**asdict(point), "accuracy_to_the_length": predicted}
            for point, predicted in zip(self.points, self.predicted, strict=True)
        ]
        return {
            "data": self.data,
            "length": self.length,
            "points": points,
            "fall": self.fall,
            "sentence": self.sentence,
            "left_out": list(self.left_out),
        }


def emergence(runs: str | Path | Sequence[str | Path]) -> Emergence:
    """Measure the runs of a series, given as its folder or as a list of run folders.

    The runs must be causal, on one `facts` corpus, with a tokenizer of characters or
    bytes. Unfinished runs, and those of fewer tokens than the longest, are left out and
    named. Raises UsageError and DataError.
    """
    folders = runs_below(Path(runs)) if isinstance(runs, str | Path) else runs
    records = {Path(folder): read_record(folder) for folder in folders}
    kept, left_out = _comparable(records)
    sources = {records[folder]["options"]["data"] for folder in kept}
    if len(sources) > 1:
        raise UsageError(
            f"the runs read different corpora ({', '.join(sorted(sources))}): give "
            "those of one"
        )
    (data,) = sources
    facts = generated(data)
    if not isinstance(facts, Facts):
        raise UsageError(
            f"the runs were trained on {data}: emergence is measured on `facts`, as in "
            f"{call('train', data='facts', tokenizer='chars')}"
        )
    text = load_corpus(data).val
    points = [measure(load_run(folder), text, facts.value_length) for folder in kept]
    points.sort(key=lambda point: (point.N, point.run))
    return Emergence(data, facts.value_length, tuple(points), tuple(left_out))


def runs_below(folder: Path) -> list[Path]:
    """`folders_of_runs`. Raises DataError for none."""
    refuse_file(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of runs")
    found = folders_of_runs(folder)
    if not found:
        raise DataError(f"{folder}: holds no run: give the folder of a series")
    return found


def measure(run: Run, text: str, length: int) -> Point:
    """The accuracy and exact match of a model for the values in a text of records.

    A record counts where a window shows its whole key. Each character is predicted
    after the text's own characters, so a whole value is right exactly where greedy
    decoding would have written it.
    """
    if run.tokenizer.kind not in ("chars", "bytes") or run.config.objective != "clm":
        raise UsageError(
            f"{run.path}: emergence needs a causal model of characters: train it with "
            f"{option('objective', 'clm')} and {option('tokenizer', 'chars')}"
        )
    equals, line_end = run.tokenizer.encode("=\n")
    ids = run.tokenizer.encode(text)
    context = run.config.context
    windows = validation_windows(ids, context, max(1, LIMIT // context))
    right = np.concatenate(
        [
            _right(run.model, windows[i : i + AT_A_TIME])
            for i in range(0, len(windows), AT_A_TIME)
        ]
    )
    begun = np.cumsum(windows == line_end, axis=1) > 0
    asked = (windows == equals) & begun
    asked[:, max(0, context - length + 1) :] = False  # where the window ends too soon
    rows, columns = np.nonzero(asked)
    if not len(rows):
        raise UsageError(
            f"{run.path}: a context of {context} shows no whole record: train with a "
            "longer one"
        )
    values = right[rows[:, None], columns[:, None] + np.arange(length)]
    return Point(
        run=run.path.name,
        N=run.record["parameters"]["non_embedding"],
        tokens=run.record["results"]["tokens"],
        accuracy=float(values.mean()),
        exact_match=float(values.all(1).mean()),
        values=len(values),
    )


def draw_emergence(found: Emergence):
    """A matplotlib Figure of both measures against N; write it with
    `minillm.figures.save`."""
    N = [point.N for point in found.points]
    exact = [point.exact_match for point in found.points]
    accuracy = [point.accuracy for point in found.points]
    with style():
        figure, axes = new_figure()
        whole = f"exact match: all {found.length} characters of a value right"
        for values, colour, marker, label in (
            (accuracy, "blue", "o", "accuracy: characters of values right"),
            (exact, "red", "s", whole),
        ):
            axes.plot(*medians(N, values), color=COLOURS[colour], label=label)
            axes.plot(N, values, marker, color=COLOURS[colour], markersize=6)
        axes.plot(
            *medians(N, found.predicted),
            ":",
            color=COLOURS["grey"],
            label=f"accuracy$^{{{found.length}}}$",
        )
        axes.set_ylim(-0.03, 1.03)
        log_axis(axes.xaxis)
        sign = "≈" if found.explained else "is not"
        power = f"accuracy$^{{{found.length}}}$"
        axes.set_title(f"The same models, two measures: exact match {sign} {power}")
        axes.set_xlabel("parameters N (non-embedding)")
        axes.set_ylabel("share right, in validation records")
        axes.legend(loc="best")
    return figure


def _comparable(records: dict[Path, dict]) -> tuple[list[Path], list[dict]]:
    """The finished runs of the most tokens, and the others with the reason."""
    tokens = {
        folder: record["results"]["tokens"]
        for folder, record in records.items()
        if record["status"] == "finished"
    }
    if not tokens:
        raise DataError("none of the runs is finished: train them to the end")
    most = max(tokens.values())
    left_out = [
        {
            "run": folder.name,
            "reason": f"{tokens[folder]:,} tokens, not {most:,}"
            if folder in tokens
            else f"it is {record['status']}",
        }
        for folder, record in records.items()
        if tokens.get(folder) != most
    ]
    return [folder for folder in tokens if tokens[folder] == most], left_out


def _right(model, windows: np.ndarray) -> np.ndarray:
    """Whether the likeliest next token is the text's: windows (B, T+1) -> (B, T)."""
    with no_grad():
        logits = model(windows[:, :-1]).numpy()
    return logits.argmax(-1) == windows[:, 1:]
