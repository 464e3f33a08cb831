"""The plan of a series: which models, how often, how long, within a budget of time.

It is made once from the measured speed of every size and written to plan.json; whoever
starts the series again reads it and measures nothing.
"""

import dataclasses
import heapq
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from minillm.errors import DataError
from minillm.scaling.ladder import Ladder, heads
from minillm.training.config import TrainConfig
from minillm.training.run_folder.files import write_json

EVALUATION = 0.4  # seconds for a batch of the last evaluation, in training steps
STARTING = 0.5  # seconds of a run before its first step and after its last
FINISHING = 10.0  # seconds after the last run: decoding, fits, pictures
SLOWER = 1.12  # a long run than a short probe; leaves room for a busier machine


@dataclass(frozen=True)
class Run:
    """One model to be trained, with the seconds it should take. `repeat` counts the
    runs of this width before it."""

    width: int
    repeat: int
    seed: int
    held_out: bool
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.width}-s{self.seed}"


@dataclass(frozen=True)
class Plan:
    """What a series will do, longest run first. Written as plan.json."""

    ladder: Ladder
    data: str
    sha256: str
    tokenizer: str
    seed: int
    workers: int
    budget: float
    tokens: int  # for each model
    validation_batches: int
    step_seconds: dict[int, float]  # by width
    seconds_before: float  # the corpus and the probes
    runs: tuple[Run, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def training_seconds(self) -> float:
        return makespan([run.seconds for run in self.runs], self.workers)

    @property
    def seconds(self) -> float:
        """From beginning to end."""
        return self.seconds_before + self.training_seconds + FINISHING

    def config(self, width: int, seed: int = 0) -> TrainConfig:
        return self.ladder.config(
            width,
            data=self.data,
            tokenizer=self.tokenizer,
            tokens=self.tokens,
            seed=seed,
        )

    def to_json(self) -> dict:
        record = asdict(self)
        record["ladder"] = self.ladder.to_json()
        del record["step_seconds"]
        record["sizes"] = [
            {
                "width": width,
                "layers": self.ladder.layers,
                "heads": heads(width),
                "lr": self.config(width).lr,
                "step_seconds": seconds,
            }
            for width, seconds in self.step_seconds.items()
        ]
        record["runs"] = [{"name": run.name, **asdict(run)} for run in self.runs]
        record["predicted_seconds"] = {
            "before": self.seconds_before,
            "training": self.training_seconds,
            "after": FINISHING,
            "total": self.seconds,
        }
        return record

    def write(self, path: Path) -> None:
        write_json(path, self.to_json())


def read_plan(path: Path) -> Plan:
    """A plan.json. Raises DataError where it is none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        known = {field.name for field in dataclasses.fields(Plan)}
        rest = {name: value for name, value in record.items() if name in known}
        rest["ladder"] = Ladder.from_json(record["ladder"])
        rest["step_seconds"] = {
            size["width"]: size["step_seconds"] for size in record["sizes"]
        }
        rest["runs"] = tuple(
            Run(**{name: value for name, value in run.items() if name != "name"})
            for run in record["runs"]
        )
        rest["warnings"] = tuple(record["warnings"])
        return Plan(**rest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: cannot be read as a plan ({error})") from None


def fitted(plan: Plan) -> Plan:
    """The plan with its runs: as many as the budget allows.

    Each size is trained once; where that is too long, with fewer tokens, the same for
    all. Repeats are added while there is time, the widest first, for the law is carried
    on from there; second ones before third ones. A warning says what had to be left
    out.
    """
    ladder = plan.ladder
    runs = dict.fromkeys((*ladder.widths, ladder.held_out), 1)
    plan = _with_runs(plan, runs)
    wanted = plan.tokens
    while plan.seconds > plan.budget and plan.tokens > ladder.least_tokens:
        fewer = ladder.whole_steps(max(ladder.least_tokens, 0.97 * plan.tokens))
        plan = _with_runs(replace(plan, tokens=fewer), runs)
    repeats = [
        (repeat, width)
        for width, n in zip(ladder.widths, ladder.seeds, strict=True)
        for repeat in range(1, n)
    ]
    missing = 0
    for _, width in sorted(repeats, key=lambda pair: (pair[0], -pair[1])):
        more = _with_runs(plan, {**runs, width: runs[width] + 1})
        if plan.tokens == wanted and more.seconds <= plan.budget:
            plan = more
            runs[width] += 1
        else:
            missing += 1
    return replace(plan, warnings=(*plan.warnings, *_losses(plan, wanted, missing)))


def _losses(plan: Plan, wanted: int, missing: int):
    """What a plan had to leave out, a sentence each."""
    if missing:
        yield (
            f"{missing} of {missing + len(plan.runs)} runs, repeats with other seeds, "
            f"are left out to stay within {plan.budget:.0f} seconds"
        )
    if plan.tokens < wanted:
        yield (
            f"{plan.tokens:,} tokens for each model instead of {wanted:,}, to stay "
            f"within {plan.budget:.0f} seconds"
        )
    if plan.seconds > plan.budget:
        yield (
            f"this will take about {plan.seconds:.0f} seconds, longer than the "
            f"{plan.budget:.0f} meant for it: with fewer than "
            f"{plan.ladder.least_tokens:,} tokens for each model the exponent would "
            f"mean nothing"
        )


def _with_runs(plan: Plan, wanted: dict[int, int]) -> Plan:
    """The plan with so many runs of each width."""
    runs = [
        Run(
            width=width,
            repeat=repeat,
            seed=plan.seed + repeat,
            held_out=width == plan.ladder.held_out,
            seconds=run_seconds(plan, width),
        )
        for width, n in wanted.items()
        for repeat in range(n)
    ]
    return replace(plan, runs=tuple(sorted(runs, key=lambda run: -run.seconds)))


def run_seconds(plan: Plan, width: int) -> float:
    """How long a run should take, with its evaluation."""
    steps = plan.tokens / plan.ladder.tokens_per_step
    steps = SLOWER * steps + EVALUATION * plan.validation_batches
    return STARTING + plan.step_seconds[width] * steps


def makespan(seconds: Iterable[float], workers: int) -> float:
    """When the last run ends, where each begins, in this order, on the first free of
    the workers."""
    free_at = [0.0] * workers
    for length in seconds:
        heapq.heapreplace(free_at, free_at[0] + length)
    return max(free_at)
