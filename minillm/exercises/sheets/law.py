"""Exercise: the Huber fit of a scaling law, and its interval."""

import math
from collections.abc import Callable

import numpy as np

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise, Failure

exercise = Exercise(
    name="law",
    title="a scaling law: what is minimised, and its interval",
    task="""
    The loss of models of size N follows L(N) = E + A·N^(−α). To fit the law means to
    find E, A and α for which the curve is near the measured losses (Hoffmann et al.
    2022, eq. 3).

    1. `huber(r, delta)`: Huber's loss of residuals. A single odd run must not bend the
       law: large residuals count by their size, not by its square:

           r² / 2                         where |r| <= delta
           delta (|r| − delta / 2)        beyond

    2. `objective(theta, n, loss, delta)`: theta is (ln E, ln A, α). The residual of a
       run is ln L(N) − ln loss, and the objective is the sum of huber over the runs.
       ln L = np.logaddexp(ln E, ln A − α ln N). So E and A stay positive.

    3. `bootstrap(fit, n, loss, resamples, rng)`: how sure is the result? Draw as many
       runs as there are, *with replacement* (`rng.integers`), each with its own loss,
       fit again, and so `resamples` times. fit(n, loss) gives one row of numbers; the
       result is an array (resamples, numbers).

    4. `interval95(estimates)`: the middle 95 % of each column: (low, high), each an
       array.
    """,
    read="""the tour, third walk; `huber` in minillm/laws/huber.py and
    minillm/laws/bootstrap.py, which draw new noise where there are few runs.""",
    cut=Cut(
        "minillm.exercises.sheets.law",
        {"huber": "", "objective": "", "bootstrap": "", "interval95": ""},
    ),
    hints=(
        "huber is smooth: at |r| = delta both formulas give delta² / 2. np.where takes "
        "one of two arrays, place by place.",
        "One draw of indices, and n and loss both by these indices: a run keeps its "
        "loss.",
        "interval95: np.quantile(estimates, [0.025, 0.975], axis=0). bootstrap: chosen "
        "= rng.integers(0, len(n), len(n)); fit(n[chosen], loss[chosen])",
    ),
    forbidden=("Problem", "ends95", "middle", "resample"),
)


def huber(r: np.ndarray, delta: float) -> np.ndarray:
    """Huber's loss: r²/2 near zero, a straight line beyond delta."""
    size = np.abs(r)
    return np.where(size <= delta, size * size / 2, delta * (size - delta / 2))


def objective(
    theta: np.ndarray, n: np.ndarray, loss: np.ndarray, delta: float = 1e-3
) -> float:
    """What a fit minimises: the sum of huber over the residuals in logarithms."""
    log_e, log_a, alpha = theta
    curve = np.logaddexp(log_e, log_a - alpha * np.log(n))
    return float(huber(curve - np.log(loss), delta).sum())


def bootstrap(
    fit: Callable[[np.ndarray, np.ndarray], np.ndarray],
    n: np.ndarray,
    loss: np.ndarray,
    resamples: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Estimates of resampled runs.   (resamples, numbers)"""
    found = []
    for _ in range(resamples):
        chosen = rng.integers(0, len(n), len(n))
        found.append(fit(n[chosen], loss[chosen]))
    return np.array(found)


def interval95(estimates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle 95 % of each column: low and high."""
    low, high = np.quantile(estimates, [0.025, 0.975], axis=0)
    return low, high


def residuals(c: Cases) -> dict:
    return {"r": c.numbers((c.integer(1, 5),)), "delta": c.one_of(0.5, 1.0, 0.25)}


def laws(c: Cases) -> dict:
    n = np.array([10.0 ** c.integer(3, 8) for _ in range(c.integer(1, 4))])
    theta = c.one_of((0.5, 6.0, 0.4), (-0.2, 4.0, 0.25))
    noise = c.numbers((len(n),)) / 10
    return {"theta": np.array(theta), "n": n, "noise": noise}


def by_hand(r, delta: float) -> list[float]:
    """As the area under the line that rises to delta and stays: number by number."""
    return [
        0.5 * x * x if x <= delta else 0.5 * delta**2 + (x - delta) * delta
        for x in map(abs, map(float, np.ravel(r)))
    ]


@exercise.property(points=2, inputs=residuals)
def huber_loss(student, r, delta):
    """huber is r²/2 up to delta, and a line beyond, on both sides."""
    size = np.abs(r)
    looking.equal(
        student.huber(r, delta),
        np.array(by_hand(r, delta)),
        f"huber(r, {delta})",
        instead=[
            ("missing terms", r * r / 2, "This is the square everywhere: no line."),
            ("missing terms", size * delta, "This is the size everywhere."),
            (
                "value",
                np.where(r <= delta, r * r / 2, delta * (r - delta / 2)),
                "The sign of r matters: take its size.",
            ),
            (
                "value",
                np.where(size <= delta, r * r / 2, delta * size),
                "The two parts do not meet at delta.",
            ),
            (
                "factor",
                np.where(size <= delta, r * r, delta * (size - delta / 2)),
                "A half is missing: r² / 2.",
            ),
        ],
    )


@exercise.property(points=3, inputs=laws)
def what_is_minimised(student, theta, n, noise):
    """objective is the sum of huber(ln L − ln loss) over the runs."""
    e, a, alpha = math.exp(theta[0]), math.exp(theta[1]), theta[2]
    curve = [e + a * x**-alpha for x in n.tolist()]
    loss = np.array(curve) * np.exp(noise)
    logs = [math.log(c) - math.log(y) for c, y in zip(curve, loss, strict=True)]
    plain = [c - y for c, y in zip(curve, loss, strict=True)]
    rising = [
        math.log(e + a * x**alpha) - math.log(y) for x, y in zip(n, loss, strict=True)
    ]
    delta = 0.05
    found = student.objective(theta, n, loss, delta)
    looking.equal(
        found,
        np.array(math.fsum(by_hand(logs, delta))),
        "objective(theta, n, loss, 0.05)",
        tolerance=1e-7,
        instead=[
            ("scale", np.array(np.mean(by_hand(logs, delta))), "A mean, not a sum."),
            (
                "value",
                np.array(math.fsum(by_hand(plain, delta))),
                "The residual is L − loss: take logarithms of both.",
            ),
            (
                "sign",
                np.array(math.fsum(by_hand(rising, delta))),
                "The curve rises with N: the exponent is −α.",
            ),
        ],
    )


@exercise.property(points=1)
def minimum_at_the_truth(student):
    """Where the losses follow a law, its E, A and α have the least objective, 0."""
    n = 10.0 ** np.arange(3, 9)
    loss = 1.7 + 400 * n**-0.4
    truth = np.array([math.log(1.7), math.log(400), 0.4])
    least = float(student.objective(truth, n, loss))
    if not abs(least) < 1e-12:
        raise Failure("value", f"at the truth the objective is {least:.3g}, not 0")
    for move in np.eye(3) * 0.05:
        for sign in (-1, 1):
            if not float(student.objective(truth + sign * move, n, loss)) > 1e-9:
                raise Failure(
                    "value", "Away from the truth the objective is no larger."
                )


def slope(n: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Of a line in logarithms, by least squares: what is fitted in the checks."""
    x, y = np.log(n), np.log(loss)
    x = x - x.mean()
    return np.array([float(x @ y) / max(float(x @ x), 1e-9), y.mean()])


@exercise.property(points=2)
def resampled_runs(student):
    """Runs are drawn with replacement, each with its loss; as many as there are."""
    n = 10.0 ** np.linspace(3, 8, 12)
    loss = 5 * n**-0.1
    seen = []

    def fit(some_n, some_loss):
        some_n, some_loss = np.asarray(some_n), np.asarray(some_loss)
        if some_n.shape != n.shape or some_loss.shape != n.shape:
            raise Failure("shape", f"{some_n.size} runs are drawn, there are {n.size}")
        if not np.allclose(some_loss, 5 * some_n**-0.1):
            raise Failure("swapped", "Runs and losses are drawn apart: keep pairs.")
        seen.append(np.searchsorted(n, some_n * (1 - 1e-9)))
        return slope(some_n, some_loss)

    found = student.bootstrap(fit, n, loss, 60, np.random.default_rng(3))
    found = looking.array_of(found, "bootstrap(…)")
    if found.shape != (60, 2):
        raise Failure("shape", f"estimates have shape {found.shape}, not (60, 2)")
    n_different = np.array([len({*each.tolist()}) for each in seen])
    if (n_different == len(n)).all():
        raise Failure("value", "Every run is drawn once: draw with replacement.")
    if len({tuple(each.tolist()) for each in seen}) < 50:
        raise Failure("random", "The same runs are drawn again and again.")
    # Of 12, the different ones among 12 draws are 12 (1 − (11/12)¹²) = 7.8 on average.
    if not 6.8 < n_different.mean() < 8.8 or len({*np.concatenate(seen)}) < len(n):
        raise Failure("value", "Not all runs are equally likely to be drawn.")
    again = student.bootstrap(slope, n, loss, 60, np.random.default_rng(3))
    if not np.allclose(found, again):
        raise Failure("random", "The same rng gives other estimates: draw from `rng`.")


@exercise.property(points=2)
def middle_95_percent(student):
    """interval95 gives the quantiles 2.5 % and 97.5 % of each column."""
    rng = np.random.default_rng(4)
    estimates = np.stack([rng.permutation(1001) / 10, rng.permutation(1001) - 500.0], 1)
    found = student.interval95(estimates)
    if not isinstance(found, tuple) or len(found) != 2:
        raise Failure("type", "interval95 returns (low, high)")
    for got, of, what in zip(found, (25, 975), ("low", "high"), strict=True):
        one_sided = 50 if what == "low" else 950
        sd = -1.96 if what == "low" else 1.96
        looking.equal(
            got,
            np.array([of / 10, of - 500.0]),
            what,
            instead=[
                (
                    "value",
                    np.array([one_sided / 10, one_sided - 500.0]),
                    "That is the middle 90 %: 2.5 % lie outside on each side.",
                ),
                (
                    "value",
                    estimates.mean(0) + sd * estimates.std(0),
                    "That is a normal distribution's; take quantiles.",
                ),
                (
                    "swapped",
                    np.array([(1000 - of) / 10, 500.0 - of]),
                    "low and high are exchanged.",
                ),
            ],
        )
