"""Points of a series: one for each run and length, and their medians over seeds.

A point is left out of the laws, with the reason, where no law describes it: when it
diverged, was not past its warm-up, had begun to learn its text by heart, or is in the
middle of a phase transition.
"""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from minillm.laws.fitting import fit
from minillm.laws.law import LawFit
from minillm.laws.runs_table import Table
from minillm.runs.metrics import n_final_steps
from minillm.series.plan import Plan, Run

WARM = 2  # warm-ups: a run must be longer
BY_HEART = 0.02  # the largest excess of the validation loss over the training loss
# A loss falls ever more slowly with tokens; where it falls so much faster than before,
# something new is being learned.
FASTER = 1.25
NOTICEABLE = 0.02  # a slope dlnL/dlnD that is more than noise


@dataclass(frozen=True)
class Point:
    """A model after some tokens, cooled down."""

    name: str
    run: Run
    tokens: int
    record: dict

    @property
    def loss(self) -> float:
        return self.record["results"]["val_loss"]


@dataclass(frozen=True)
class Size:
    """The runs of one size and length; medians over seeds."""

    width: int
    n_layers: int
    held_out: bool
    tokens: int
    parameters: dict[str, int]
    losses: list[float]
    loss: float
    accuracy: float
    train_seconds: float


def points_of(plan: Plan, records: dict) -> list[Point]:
    """Every branch that is done, the smallest first. records: {name: record}."""
    found = [
        Point(name, run, tokens, records[name])
        for run in plan.runs
        for tokens in run.lengths
        if (name := run.branch_name(tokens)) in records
    ]
    return sorted(found, key=lambda p: (p.run.width, p.run.rate, p.run.seed, p.tokens))


def sizes_of(points: list[Point]) -> list[Size]:
    """The points with the usual learning rate, by width and length."""
    groups = {}
    for point in points:
        if point.run.rate == 1:
            groups.setdefault((point.run.width, point.tokens), []).append(point)
    return [_size(same) for _, same in sorted(groups.items())]


def _size(same: list[Point]) -> Size:
    results = [point.record["results"] for point in same]
    losses = [point.loss for point in same]
    first = same[0]
    return Size(
        width=first.run.width,
        n_layers=first.record["config"]["n_layers"],
        held_out=first.run.held_out,
        tokens=first.tokens,
        parameters=first.record["parameters"],
        losses=losses,
        loss=statistics.median(losses),
        accuracy=statistics.median(r["val_accuracy"] for r in results),
        train_seconds=statistics.median(r["seconds"] for r in results),
    )


def fit_medians(
    points: Sequence, columns: Mapping, group: str | None = None, source="the table"
) -> LawFit:
    """Fit the median losses of points (`Size`, or another with `loss` and `losses`).

    columns: {name: values} of the law's variables. Least squares of the relative error,
    in which a median over more seeds weighs more.
    """
    columns = {
        **columns,
        "loss": [point.loss for point in points],
        "sigma": [point.loss / len(point.losses) ** 0.5 for point in points],
    }
    x = tuple(columns)[:-2]
    return fit(Table(source, columns), x, loss="lsq", sigma="sigma", group=group)


def unfit(points: list[Point]) -> dict[str, str]:
    """{name of a point: the reason why no law is fitted to it}."""
    found = {}
    for point in points:
        options, results = point.record["options"], point.record["results"]
        gap = results["val_loss"] / results["train_loss"] - 1
        # The losses of single tokens spread by about their mean; the training loss is
        # the mean over the tokens of the last steps.
        n_last = n_final_steps(results["steps"])
        noise = 3 / math.sqrt(n_last * results["tokens"] / results["steps"])
        if results["steps"] < WARM * options["warmup"]:
            found[point.name] = (
                f"its {results['steps']} steps are not past a warm-up of "
                f"{options['warmup']}"
            )
        elif gap > BY_HEART + noise:
            found[point.name] = (
                f"its validation loss is {gap:.1%} above its training loss: it has "
                f"begun to learn its text by heart; give more text"
            )
    return found


def in_transition(sizes: list[Size]) -> dict[tuple[int, int], str]:
    """{(width, tokens): reason} of the sizes that are too short for a law of tokens.

    `sizes` are those of every length. The lengths before the loss begins to fall faster
    are left out.
    """
    found = {}
    for width in sorted({size.width for size in sizes}):
        same = sorted((s for s in sizes if s.width == width), key=lambda s: s.tokens)
        slopes = [_slope(a, b) for a, b in itertools.pairwise(same)]
        for i in range(1, len(slopes)):
            if slopes[i] > max(FASTER * slopes[i - 1], NOTICEABLE):
                for size in same[: i + 1]:
                    found[width, size.tokens] = (
                        f"up to {same[i].tokens:,} tokens the loss of width {width} "
                        f"falls more slowly than after: the middle of a transition"
                    )
    return found


def _slope(a: Size, b: Size) -> float:
    """The slope of the loss over tokens: −d ln loss / d ln tokens."""
    return math.log(a.loss / b.loss) / math.log(b.tokens / a.tokens)
