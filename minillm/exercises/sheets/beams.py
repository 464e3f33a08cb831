"""Exercise: beam search."""

import itertools
import math
from collections.abc import Callable

import numpy as np

from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise, Failure

exercise = Exercise(
    name="beams",
    title="beam search: look for a likely continuation",
    task="""
    Greedy decoding takes the likeliest token at each step, and may miss a better
    sentence that begins with a less likely one. Beam search keeps the `beams` best
    beginnings instead of one (Wu et al. 2016, section 7).

    `log_p(ids)` gives the logarithms of the probabilities of the next token, an array
    (V,), after the tokens `ids` (a tuple). A hypothesis is a pair (ids, total), with
    the sum of the log-probabilities of its tokens.

    1. `extended(hypotheses, log_p)`: each hypothesis with each next token, a list of
       hypotheses with their new totals, the largest total first.

    2. `score(hypothesis)`: its total divided by its number of tokens. By the sum alone
       a shorter one would always win: each token makes the sum smaller.

    3. `beam_search(log_p, beams, length, end)`: begin with one hypothesis, no token and
       total 0. At each of `length` steps take the extensions, best first: one that
       ends with the token `end` is complete and put aside, others go on, until `beams`
       go on. Ones that complete behind these are not looked at. Return the ids with
       the best score among the complete ones and those that are left at the end.

    In the cases that the check shows, `seed` draws the probabilities of `v` tokens, and
    token 0 is the end.
    """,
    read="""the tour, stop 9; `beam_search` in minillm/generation/beams.py, which
    does the same for a model with caches, and stops as early as it may.""",
    cut=Cut(
        "minillm.exercises.sheets.beams",
        {"extended": "", "score": "", "beam_search": ""},
    ),
    hints=(
        "The sum of logarithms is the logarithm of the product: the probability of "
        "all tokens after one another.",
        "extended: two loops, over hypotheses and over tokens, then `sorted` by the "
        "negative total. enumerate(log_p(ids)) gives the tokens with their numbers.",
        "In each step: going = []; for each of extended(live, log_p): stop if beams "
        "go on; append it to complete if it ends, else to going. live = going.",
    ),
)

Hypothesis = tuple[tuple[int, ...], float]


def extended(
    hypotheses: list[Hypothesis], log_p: Callable[[tuple], np.ndarray]
) -> list[Hypothesis]:
    """Each hypothesis with each next token, the likeliest first."""
    found = []
    for ids, total in hypotheses:
        for token, log_probability in enumerate(log_p(ids)):
            found.append(((*ids, token), total + float(log_probability)))
    return sorted(found, key=lambda each: -each[1])


def score(hypothesis: Hypothesis) -> float:
    """The mean log-probability of a token."""
    ids, total = hypothesis
    return total / len(ids)


def beam_search(
    log_p: Callable[[tuple], np.ndarray], beams: int, length: int, end: int
) -> tuple[int, ...]:
    """The ids with the best score that are found."""
    live, complete = [((), 0.0)], []
    for _ in range(length):
        going = []
        for each in extended(live, log_p):
            if len(going) == beams:
                break
            if each[0][-1] == end:
                complete.append(each)
            else:
                going.append(each)
        live = going
    return max(complete + live, key=score)[0]


def language(seed: int, v: int) -> Callable[[tuple], np.ndarray]:
    """Log-probabilities after any tokens, drawn once for each."""

    def log_p(ids: tuple) -> np.ndarray:
        rng = np.random.default_rng((seed, *ids, len(ids)))
        p = rng.dirichlet(np.full(v, 0.7)) + 1e-6
        return np.log(p / p.sum())

    return log_p


def searches(c: Cases) -> dict:
    return {"seed": c.seed(), "v": c.integer(2, 4), "length": c.integer(1, 3)}


def total_of(log_p, ids: tuple) -> float:
    return math.fsum(float(log_p(ids[:i])[ids[i]]) for i in range(len(ids)))


def every_sentence(v: int, length: int, end: int):
    """All that end with `end` or are as long as may be."""
    for n in range(1, length + 1):
        for ids in itertools.product(range(v), repeat=n):
            if end not in ids[:-1] and (ids[-1] == end or n == length):
                yield ids


@exercise.property(points=2, inputs=searches)
def extensions(student, seed, v, length):
    """extended gives each hypothesis with each next token, the likeliest first."""
    log_p = language(seed, v)
    given = [((), 0.0)] if length == 1 else [((0,), -0.5), ((1,), -1.5)]
    found = student.extended(list(given), log_p)
    if not isinstance(found, list) or not all(
        isinstance(each, tuple) and len(each) == 2 for each in found
    ):
        raise Failure("type", "extended returns a list of pairs (ids, total)")
    expected = {
        (*ids, token): total + float(log_p(ids)[token])
        for ids, total in given
        for token in range(v)
    }
    got = {tuple(ids): total for ids, total in found}
    if set(got) != set(expected):
        kind = "missing terms" if len(got) < len(expected) else "value"
        raise Failure(kind, f"it gives the ids {sorted(got)}, not {sorted(expected)}")
    for ids, total in expected.items():
        if abs(got[ids] - total) > 1e-9:
            alone = float(log_p(ids[:-1])[ids[-1]])
            says = "It has the last token's log-probability only: add the total so far."
            lost = len(ids) > 1 and abs(got[ids] - alone) < 1e-9
            raise Failure(
                "missing terms" if lost else "value",
                f"{says if lost else 'A total is wrong.'}\n  the total of {ids}: "
                f"expected {total:.4f}\n  yours: {got[ids]:.4f}",
            )
    totals = [total for _, total in found]
    if totals != sorted(totals, reverse=True):
        raise Failure("order", "The extension with the largest total comes first.")


@exercise.property(points=1, inputs=searches)
def mean_score(student, seed, v, length):
    """score is the total divided by the number of tokens."""
    found = student.score(((0,) * length, -3.0))
    if length > 1 and abs(found + 3.0) < 1e-9:
        raise Failure("scale", "The sum alone: divide by the number of tokens.")
    if abs(found + 3.0 / length) > 1e-9:
        raise Failure("value", f"score of {length} tokens with −3 is {found:.4f}")


def ids_of(found) -> tuple[int, ...]:
    if not isinstance(found, tuple | list) or any(np.ndim(each) for each in found):
        raise Failure("type", f"beam_search returns ids, a tuple; yours: {found}")
    return tuple(found)


@exercise.property(points=2, inputs=searches)
def greedy(student, seed, v, length):
    """One beam is greedy decoding, where nothing ends."""
    log_p = language(seed, v)
    ids = ()
    for _ in range(length):
        ids = (*ids, int(np.argmax(log_p(ids))))
    found = ids_of(student.beam_search(log_p, 1, length, -1))
    if found != ids:
        kind = "shape" if len(found) != len(ids) else "value"
        raise Failure(kind, f"one beam finds {found}, greedy decoding {ids}")


@exercise.property(points=3, inputs=searches)
def best_of_all(student, seed, v, length):
    """With as many beams as there are sentences it finds the best of all."""
    log_p = language(seed, v)
    ranked = sorted(
        every_sentence(v, length, 0), key=lambda ids: -total_of(log_p, ids) / len(ids)
    )
    found = ids_of(student.beam_search(log_p, v**length, length, 0))
    if found == ranked[0]:
        return
    if 0 in found[:-1]:
        raise Failure("order", f"{found} goes on behind the end, which is token 0")
    complete = [ids for ids in ranked if ids[-1] == 0]
    going = [ids for ids in ranked if ids[-1] != 0]
    by_sum = max(ranked, key=lambda ids: total_of(log_p, ids))
    mistakes = (
        ("order", ranked[-1], "This is the worst of all."),
        ("missing terms", going[0], "A complete one is better: are these kept?"),
        ("missing terms", complete[0], "One that has not ended is better."),
        ("scale", by_sum, "It has the best sum: what counts is the mean."),
    )
    told = {kind: says for kind, ids, says in mistakes if ids == found}
    if len(told) != 1:  # two mistakes would find the same
        told = {"value": "The best is another one."}
    ((kind, says),) = told.items()
    raise Failure(kind, f"{says}\n  it finds {found}; the best is {ranked[0]}")


@exercise.property(points=1, inputs=searches)
def width(student, seed, v, length):
    """Only `beams` hypotheses go on."""
    asked, log_p = [], language(seed, v)

    def counted(ids):
        asked.append(tuple(ids))
        return log_p(ids)

    student.beam_search(counted, 2, length, 0)
    says = "beams is 2, and the number of hypotheses that go on after step {} is {}"
    for n in range(1, length):
        live = {ids for ids in asked if len(ids) == n}
        if len(live) > 2:
            raise Failure("extra terms", says.format(n, len(live)))
        if len(live) < min(2, v - 1):
            place = ": one that ends takes no place of those that go on"
            raise Failure("missing terms", says.format(n, len(live)) + place)
