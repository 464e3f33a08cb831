"""Calibration: fits and intervals are checked where the true law is known.

    for check in calibrate():
        print(check.name, check.error, check.limit)

The checks: losses of a model whose laws are exact sums (the memoriser), curves without
noise, and the coverage of 95 % intervals over many simulated series, also of points
that share a run.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from minillm.errors import UsageError
from minillm.laws.fitting import fit
from minillm.studies.memoriser import memoriser_series, slope
from minillm.text.synthetic.facts import Facts

EXPONENT_LIMIT = 0.02
ENTROPY_LIMIT = 0.005  # relative
RECOVERY_LIMIT = 1e-6  # relative
COVERAGE = 0.95
CHANCE = 1e-3  # that sound intervals fail one check, on either side
NOISES = (0.001, 0.003)  # relative, of one loss

SIZES = np.array([9216, 20736, 36864, 82944, 147456, 331776])
LAW = {"E": 1.12, "A": 33.3, "alpha": 0.43}
# About the constants that Besiroglu et al. (2024) found for Hoffmann et al. (2022).
WIDE_LAW = {"E": 1.82, "A": 480.0, "alpha": 0.35, "B": 2100.0, "beta": 0.37}
RESAMPLES = 400
# A series of branches: L(N, D), the shared noise of a run, and that of each point.
BRANCHED_LAW = {"E": 1.0, "A": 33.3, "alpha": 0.43, "B": 300.0, "beta": 0.5}
LENGTHS = np.array([1e6, 2e6, 4e6, 8e6])
SHARED, OWN = 0.003, 0.001  # relative


@dataclass(frozen=True)
class Check:
    """The error of a measure beside the truth, and its limit.

    detail: the numbers behind it, in words.
    """

    name: str
    error: float
    limit: float
    detail: str

    @property
    def ok(self) -> bool:
        return self.error <= self.limit  # false for NaN

    def to_json(self) -> dict:
        return {**asdict(self), "ok": self.ok}


def calibrate(series: int = 40, seed: int = 0) -> Iterator[Check]:
    """Every check in turn, some twenty seconds for all.

    series: the number of simulated ones for each level of noise; with more, the limits
    are narrower. seed: chooses texts and noise. Raises UsageError.
    """
    if series < 10:
        raise UsageError(f"series must be at least 10 to count anything, got {series}")
    yield from memoriser_checks(seed)
    yield from recovery_checks()
    for noise in NOISES:
        yield from coverage_checks(noise, series, seed)
    yield from branched_checks(series, seed)


def memoriser_checks(seed: int = 0) -> Iterator[Check]:
    """Fitted blindly, a memoriser's losses give the exponents of the exact sums and
    the entropy of the text."""
    facts = Facts(a=1.0, keys=100_000, seed=seed)
    # In these ranges 100,000 keys are practically infinitely many, and a single known
    # key more or less makes little difference.
    records = np.geomspace(300, 30_000, 10).astype(int)
    rooms = np.geomspace(30, 300, 8).astype(int)
    # With so many texts the limit of alpha is over four standard deviations.
    by_records = memoriser_series(facts, [facts.keys], records, samples=1024)[0]
    by_room = memoriser_series(facts, rooms, [1_000_000])[:, 0]
    ideal = [facts.excess(n) for n in records]
    yield from _blind("records n", records, by_records, ideal, facts)
    ideal = [facts.excess(math.inf, room) for room in rooms]
    yield from _blind("room N", rooms, by_room, ideal, facts)


def _blind(name: str, x, losses, ideal, facts: Facts) -> Iterator[Check]:
    found = fit({"x": x, "loss": losses}, "x", bootstrap=2).parameters
    exponent = slope(x, ideal)
    yield Check(
        f"memoriser by {name}: alpha",
        abs(found["alpha"] - exponent),
        EXPONENT_LIMIT,
        f"{found['alpha']:.4f}, exact sum {exponent:.4f}",
    )
    entropy = facts.entropy_per_record
    yield Check(
        f"memoriser by {name}: entropy",
        abs(found["E"] / entropy - 1),
        ENTROPY_LIMIT,
        f"{found['E']:.4f}, truth {entropy:.4f} nats/record",
    )


def recovery_checks() -> Iterator[Check]:
    """The unknowns of a curve without noise come back."""
    exact = LAW["E"] + LAW["A"] * SIZES ** -LAW["alpha"]
    yield _recovery("L(N) without noise", {"N": SIZES, "loss": exact}, LAW)
    N, D = map(
        np.ravel, np.meshgrid(np.geomspace(1e6, 1e9, 4), np.geomspace(1e8, 1e11, 4))
    )
    exact = _of_both(WIDE_LAW, N, D)
    columns = {"N": N, "D": D, "loss": exact}
    yield _recovery("L(N, D) without noise", columns, WIDE_LAW)


def _of_both(law: dict, N: np.ndarray, D: np.ndarray) -> np.ndarray:
    return law["E"] + law["A"] * N ** -law["alpha"] + law["B"] * D ** -law["beta"]


def _recovery(name: str, columns: dict, truth: dict) -> Check:
    variables = [name for name in columns if name != "loss"]
    found = fit(columns, variables, bootstrap=2).parameters
    errors = {key: abs(found[key] / truth[key] - 1) for key in truth}
    return Check(
        name, max(errors.values()), RECOVERY_LIMIT, f"worst of {', '.join(truth)}"
    )


def coverage_checks(noise: float, series: int, seed: int = 0) -> Iterator[Check]:
    """The coverage of the 95 % intervals of E and alpha, in series of six sizes with
    this relative noise of the losses."""
    rng = np.random.default_rng((seed, round(1e6 * noise)))
    exact = LAW["E"] + LAW["A"] * SIZES ** -LAW["alpha"]
    measured = exact * (1 + noise * rng.standard_normal((series, len(SIZES))))
    # A seed for each: shared resamples would make all intervals err together.
    found = [
        fit({"N": SIZES, "loss": losses}, bootstrap=RESAMPLES, seed=number).interval95
        for number, losses in enumerate(measured)
    ]
    yield from _coverage(
        found, {name: LAW[name] for name in ("E", "alpha")}, f"noise {noise:.1%}"
    )


def branched_checks(series: int, seed: int = 0) -> Iterator[Check]:
    """The coverage for alpha and beta, in series of six runs with points at four
    lengths, which share the noise of their run."""
    rng = np.random.default_rng((seed, 1))
    run = np.repeat(np.arange(len(SIZES)), len(LENGTHS))
    columns = {"N": SIZES[run], "D": np.tile(LENGTHS, len(SIZES)), "run": run}
    exact = _of_both(BRANCHED_LAW, columns["N"], columns["D"])
    found = []
    for number in range(series):
        noise = SHARED * rng.standard_normal(len(SIZES))[run]
        noise += OWN * rng.standard_normal(len(run))
        columns["loss"] = columns["sigma"] = exact * np.exp(noise)
        settings = {"loss": "lsq", "sigma": "sigma", "group": "run"}
        settings |= {"bootstrap": RESAMPLES, "seed": number}
        law = fit(columns, ("N", "D"), **settings)
        found.append(law.interval95)
    truth = {name: BRANCHED_LAW[name] for name in ("alpha", "beta")}
    yield from _coverage(found, truth, "branches")


def _coverage(found: list[dict], truth: dict, name: str) -> Iterator[Check]:
    """The coverage of these intervals, the share that holds the truth."""
    n = len(found)
    least, most = likely_counts(n)
    for unknown, value in truth.items():
        ends = [intervals[unknown] for intervals in found]
        count = sum(low <= value <= high for low, high in ends)
        end = least if count < COVERAGE * n else most
        yield Check(
            f"intervals of {unknown}, {name}",
            abs(count / n - COVERAGE),
            abs(end / n - COVERAGE),
            f"{count} of {n} hold the truth",
        )


def likely_counts(n: int) -> tuple[int, int]:
    """The least and the largest number of n sound intervals that may hold the truth:
    fewer, and more, have a probability up to CHANCE each (binomial distribution)."""
    below = np.cumsum([_binomial(n, k) for k in range(n + 1)])
    beyond = np.cumsum([_binomial(n, k) for k in range(n, -1, -1)])
    return int((below <= CHANCE).sum()), n - int((beyond <= CHANCE).sum())


def _binomial(n: int, k: int) -> float:
    """The probability that k of n sound intervals hold the truth."""
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(ways + k * math.log(COVERAGE) + (n - k) * math.log(1 - COVERAGE))
