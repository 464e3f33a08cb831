"""Plan of a series: its models, their repeats and tokens, within a budget of time.

It is made once, from the measured speed of every size, and written to plan.json; a
later session of the series reads it and measures nothing.
"""

import dataclasses
import heapq
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from minillm.errors import DataError, option
from minillm.files import write_json
from minillm.json_files import Damaged, read_object
from minillm.kinds import COUNT, NOT_NEGATIVE, POSITIVE, Number
from minillm.learning.config import TrainConfig
from minillm.learning.schedule import COOLDOWN
from minillm.series.ladder import KIND as LADDER
from minillm.series.ladder import TOKENS, WIDTH, Ladder, architecture, heads

EVALUATION = 0.4  # seconds for a batch of the last evaluation, in training steps
STARTING = 0.5  # seconds of a run before its first step and after its last
FINISHING = 10.0  # seconds after the last run: decoding, fits, pictures
SLOWER = 1.12  # a long run's step over a short probe's, with room for a busier machine
MOST_RUNS = 10_000

# The contents of a plan.json: `kinds.check`.
KIND = {
    "ladder": LADDER,
    "data": str,
    "objective": str,
    "arch?": str,
    "sha256": str,
    "tokenizer": str,
    "seed": COUNT,
    "workers": Number(1, 10_000, whole=True),
    "budget": NOT_NEGATIVE,
    "tokens": TOKENS,
    "validation_batches": COUNT,
    "sizes": [{"width": WIDTH, "lr": POSITIVE, "step_seconds": NOT_NEGATIVE}],
    "seconds_before": NOT_NEGATIVE,
    "runs": [
        {
            "width": WIDTH,
            "repeat": COUNT,
            "seed": COUNT,
            "held_out": bool,
            "lengths": [TOKENS],
            "seconds": NOT_NEGATIVE,
            "rate?": POSITIVE,
        }
    ],
    "warnings": [str],
}


@dataclass(frozen=True)
class Run:
    """One model to be trained, and the predicted seconds: a trunk with a branch for
    each of its `lengths` (tokens, ascending).

    repeat: the number of runs of this width before it. rate: 1, or the factor of a
    check of the learning rate.
    """

    width: int
    repeat: int
    seed: int
    held_out: bool
    lengths: tuple[int, ...]
    seconds: float
    rate: float = 1.0

    @property
    def name(self) -> str:
        name = f"{self.width}-s{self.seed}"
        return name if self.rate == 1 else f"{name}-rate{self.rate:g}"

    def branch_name(self, tokens: int) -> str:
        """The name of the branch of so many tokens; the longest has the run's name."""
        if tokens == self.lengths[-1]:
            return self.name
        return f"{self.name}-{tokens / 1e6:.2f}M"


@dataclass(frozen=True)
class Plan:
    """The runs of a series, longest first, and their settings. Written as plan.json."""

    ladder: Ladder
    data: str
    objective: str
    arch: str
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
    # Its learning rates as a multiple of today's: the rule may have changed since.
    rate_factor: float = 1.0

    @property
    def training_seconds(self) -> float:
        return makespan([run.seconds for run in self.runs], self.workers)

    @property
    def seconds(self) -> float:
        """The predicted time of the whole series."""
        return self.seconds_before + self.training_seconds + FINISHING

    @property
    def lengths(self) -> tuple[int, ...]:
        """The tokens after which the fitted models are cooled down."""
        return self.ladder.lengths(self.tokens)

    def config(
        self, width: int, seed: int = 0, tokens: int | None = None, rate: float = 1.0
    ) -> TrainConfig:
        return self.ladder.config(
            width,
            data=self.data,
            tokenizer=self.tokenizer,
            tokens=tokens or self.tokens,
            seed=seed,
            objective=self.objective,
            arch=self.arch,
            shortest=self.lengths[0],
            rate=rate * self.rate_factor,
        )

    def to_json(self) -> dict:
        record = asdict(self)
        record["ladder"] = self.ladder.to_json()
        del record["step_seconds"], record["rate_factor"]  # `sizes` has both
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
        record = read_object(path, KIND)
        known = {field.name for field in dataclasses.fields(Plan)}
        rest = {name: value for name, value in record.items() if name in known}
        rest["ladder"] = Ladder.from_json(record["ladder"])
        rest["step_seconds"] = {
            size["width"]: size["step_seconds"] for size in record["sizes"]
        }
        rest["runs"] = tuple(map(_read_run, record["runs"]))
        rest["warnings"] = tuple(record["warnings"])
        # Plans from before there was a choice do not say.
        rest["arch"] = architecture(record["objective"], record.get("arch"))
        rates = {size["width"]: size["lr"] for size in record["sizes"]}
        return with_rates(_checked(Plan(**rest)), rates)
    except (Damaged, ArithmeticError, ValueError, TypeError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise DataError(
            f"{path}: cannot be read as a plan ({reason}): put the whole file back, or "
            f"begin anew in another {option('out')}"
        ) from None


def with_rates(plan: Plan, rates: dict[int, float]) -> Plan:
    """The plan with these learning rates by width. Raises ValueError where they do not
    fall with width as today's do."""
    plan = replace(plan, rate_factor=1.0)
    factors = [rate / plan.config(width).lr for width, rate in rates.items()]
    if not all(math.isclose(factor, factors[0]) for factor in factors):
        raise ValueError("its learning rates do not fall with width as they have to")
    return replace(plan, rate_factor=factors[0])


def _read_run(record: dict) -> Run:
    fields = {name: value for name, value in record.items() if name != "name"}
    return Run(**{**fields, "lengths": tuple(record["lengths"])})


def _checked(plan: Plan) -> Plan:
    """The same plan. Raises ValueError or TypeError where its parts do not fit."""
    ladder, runs = plan.ladder, plan.runs
    if sum(ladder.seeds) + ladder.held_out_seeds > MOST_RUNS:
        raise ValueError(f"its ladder has more than {MOST_RUNS:,} runs")
    names = [(run.width, run.repeat, run.rate) for run in runs]
    if len(set(names)) < len(names) or not (
        set(_once(ladder)) <= set(names) <= set(_wanted(ladder))
    ):
        raise ValueError("its runs are not those of its ladder")
    if {*plan.step_seconds} != {*ladder.widths, ladder.held_out}:
        raise ValueError("its sizes are not those of its ladder")
    for run in runs:
        planned = _run(plan, run.width, run.repeat, run.rate)
        *shorter, longest = run.lengths  # a branch may be left out, but not the trunk
        fits = longest == planned.lengths[-1] and set(shorter) < set(planned.lengths)
        if not fits or run != replace(
            planned, seconds=run.seconds, lengths=run.lengths
        ):
            raise ValueError(
                f"the run {run.name} does not fit its {plan.tokens} tokens"
            )
    plan.config(ladder.held_out)  # raises UsageError, a ValueError
    return plan


def within_budget(plan: Plan) -> Plan:
    """The plan with the runs that the budget allows.

    Another seed changes a loss more than a third fewer tokens do. So tokens are cut
    first, down to `enough_tokens`, the same for every size; then repeats, third ones
    before second ones and narrow ones before wide ones, because the law is extrapolated
    from the widest; then the checks of the learning rate; then tokens again. A warning
    names all that is left out.
    """
    ladder = plan.ladder
    wanted = plan.tokens
    everything = runs = _wanted(ladder)
    plan = _with_runs(plan, runs)
    plan = _shortened(plan, runs, ladder.enough_tokens)
    while plan.seconds > plan.budget and len(runs) > len(_once(ladder)):
        runs = runs[:-1]
        plan = _with_runs(plan, runs)
    if len(runs) < len(everything):  # the last one may have left time
        plan = _with_runs(replace(plan, tokens=wanted), runs)
        plan = _shortened(plan, runs, ladder.enough_tokens)
    plan = _shortened(plan, runs, ladder.least_tokens)
    left_out = everything[len(runs) :]
    return replace(plan, warnings=(*plan.warnings, *_cuts(plan, wanted, left_out)))


def most_runs(ladder: Ladder) -> int:
    """The number of runs of a complete series."""
    return len(_wanted(ladder))


def _once(ladder: Ladder) -> list[tuple[int, int, float]]:
    """(width, repeat, rate) of the runs that every series has."""
    return [(width, 0, 1.0) for width in (*ladder.widths, ladder.held_out)]


def _wanted(ladder: Ladder) -> list[tuple[int, int, float]]:
    """(width, repeat, rate) of every run; the last are left out first."""
    checks = [
        (width, 0, rate)
        for width in (ladder.rate_widths if ladder.rates else ())
        for rate in ladder.rates
    ]
    seeds = dict(zip(ladder.widths, ladder.seeds, strict=True))
    seeds[ladder.held_out] = ladder.held_out_seeds
    repeats = [
        (width, repeat, 1.0) for width, n in seeds.items() for repeat in range(1, n)
    ]
    repeats.sort(key=lambda run: (run[1], -run[0]))
    return [*_once(ladder), *checks, *repeats]


def _shortened(plan: Plan, runs: list, least: int) -> Plan:
    """The plan with as many tokens as the budget allows, but not fewer than these."""
    ladder = plan.ladder
    while plan.seconds > plan.budget and plan.tokens > ladder.whole_steps(least):
        fewer = ladder.whole_steps(max(least, 0.97 * plan.tokens))
        plan = _with_runs(replace(plan, tokens=fewer), runs)
    return plan


def _cuts(plan: Plan, wanted: int, left_out: list):
    """Warnings of all that a plan leaves out, a sentence each."""
    repeats = sum(rate == 1 for _, _, rate in left_out)
    if repeats:
        yield (
            f"{repeats} of {repeats + len(plan.runs)} runs, repeats with other seeds, "
            f"are left out to stay within {plan.budget:.0f} seconds"
        )
    if len(left_out) > repeats:
        yield (
            f"the learning rate is not checked at both ends of the series, to stay "
            f"within {plan.budget:.0f} seconds"
        )
    if len(plan.ladder.divisors) == 1:
        yield (
            "every model has one length: there is a law of size, but none of tokens "
            "(the preset `hour` branches each run at four lengths)"
        )
    elif len(plan.lengths) < len(plan.ladder.divisors):
        yield (
            f"the models branch at {len(plan.lengths)} lengths instead of "
            f"{len(plan.ladder.divisors)}: shorter ones than "
            f"{plan.ladder.least_tokens:,} tokens are no part of the law"
        )
    if plan.tokens < wanted:
        yield (
            f"{plan.tokens:,} tokens for each model instead of {wanted:,}, to stay "
            f"within {plan.budget:.0f} seconds"
        )
    if plan.seconds > plan.budget:
        yield (
            f"about {plan.seconds:.0f} seconds are planned, more than the budget of "
            f"{plan.budget:.0f}: with still fewer tokens for each model the exponent "
            f"would mean nothing"
        )


def _with_runs(plan: Plan, wanted: list) -> Plan:
    """The plan with these runs: (width, repeat, rate)."""
    runs = [_run(plan, width, repeat, rate) for width, repeat, rate in wanted]
    return replace(plan, runs=tuple(sorted(runs, key=lambda run: -run.seconds)))


def _run(plan: Plan, width: int, repeat: int, rate: float) -> Run:
    held_out = width == plan.ladder.held_out
    lengths = (plan.tokens,) if held_out else plan.lengths
    if rate != 1:
        lengths = (plan.ladder.whole_steps(plan.tokens / 4),)
    return Run(
        width=width,
        repeat=repeat,
        seed=plan.seed + repeat,
        held_out=held_out,
        lengths=lengths,
        seconds=run_seconds(plan, width, lengths),
        rate=rate,
    )


def run_seconds(plan: Plan, width: int, lengths: tuple[int, ...]) -> float:
    """The seconds of a run, with the cooldown and the evaluation of each branch."""
    tokens = (1 - COOLDOWN) * lengths[-1] + COOLDOWN * sum(lengths)
    steps = SLOWER * tokens / plan.ladder.tokens_per_step
    steps += EVALUATION * plan.validation_batches * len(lengths)
    return STARTING * len(lengths) + plan.step_seconds[width] * steps


def makespan(seconds: Iterable[float], workers: int) -> float:
    """The time at which the last run ends, if each in turn takes the first free
    worker."""
    free_at = [0.0] * workers
    for length in seconds:
        heapq.heapreplace(free_at, free_at[0] + length)
    return max(free_at)
