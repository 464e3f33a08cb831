"""Exercise: temperature, and the nucleus of top-p sampling."""

import numpy as np

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise, Failure
from minillm.testing.choices import Domain

exercise = Exercise(
    name="sampling",
    title="temperature, and the nucleus (top-p)",
    task="""
    A model gives logits (V,), one for each token that may come next. Two functions
    change them before a token is drawn from their softmax.

    1. `heat(logits, temperature)`: logits / temperature. Below 1 the likely tokens
       become likelier, above 1 all become more alike. Subtract the largest logit
       first: the probabilities stay the same, and the largest becomes 0, however low
       the temperature is. A large number divided by 1e-305 would be infinite.

    2. `keep_top_p(logits, p)`: the nucleus (Holtzman et al. 2019, section 3.1), the
       *fewest likeliest* tokens that together have probability p or more. The logits of
       these stay, those of all others become −∞. The token that crosses p is kept, so
       that at least one is. Of equally likely tokens the earlier one is kept first (a
       stable sort).

    Neither writes into the logits it is given. `softmax` is there, in NumPy.
    """,
    read="""the tour, stop 9; `keep_top_k` in minillm/generation/sampling.py; Holtzman
    et al. 2019, section 3.1.""",
    cut=Cut("minillm.generation.sampling", {"heat": "", "keep_top_p": ""}),
    hints=(
        'np.argsort(-logits, kind="stable") gives the tokens, the likeliest first; '
        "np.cumsum gives running sums of their probabilities.",
        "A token stays if the tokens *before* it have less than p together. What is "
        "the sum before a token, if the running sum includes it?",
        "before = np.cumsum(q) - q, with q the probabilities in that order; kept = "
        "order[before < p]; then −∞ everywhere but at kept.",
    ),
    forbidden=("Sampling",),
)


def temperatures(c: Cases) -> dict:
    logits = c.numbers((c.integer(2, 5),))
    return {"logits": logits, "temperature": c.one_of(0.5, 2.0, 1.0, 0.1)}


def large(c: Cases) -> dict:
    return {"logits": c.numbers((c.integer(2, 5),)) + 3e5}


def nuclei(c: Cases) -> dict:
    logits = c.numbers((c.integer(2, 6),), Domain(-3, 3, distinct=True))
    return {"logits": logits, "p": c.one_of(0.3, 0.5, 0.9, 0.99)}


def probabilities(logits) -> np.ndarray:
    e = np.exp(logits - logits.max())
    return e / e.sum()


def kept_by(logits: np.ndarray, p: float, crossing: bool = True) -> np.ndarray:
    """Token by token, until p is reached."""
    q, total, kept = probabilities(logits), 0.0, []
    for token in sorted(range(len(q)), key=lambda i: -q[i]):
        if total >= p:
            break
        total += q[token]
        if crossing or total <= p:
            kept.append(token)
    found = np.full(logits.shape, -np.inf)
    found[kept] = logits[kept]
    return found


@exercise.property(points=2, inputs=temperatures)
def temperature(student, logits, temperature):
    """heat(logits, t) gives the probabilities of logits / t."""
    found = looking.array_of(student.heat(logits, temperature), "heat(logits, t)")
    if found.shape != logits.shape:
        raise Failure("shape", f"heat(logits, t) has shape {found.shape}")
    p = probabilities(logits / temperature)
    looking.equal(
        probabilities(found),
        p,
        f"softmax(heat(logits, {temperature}))",
        instead=[
            (
                "order",
                probabilities(logits * temperature),
                "The logits are multiplied by the temperature.",
            ),
            ("missing terms", probabilities(logits), "The temperature does nothing."),
        ],
    )


@exercise.property(points=1, inputs=large)
def cold(student, logits):
    """At a very low temperature numbers stay finite: the largest becomes 0."""
    what = "heat(logits, 1e-305)"
    found = looking.array_of(student.heat(logits, 1e-305), what)
    if np.isnan(found).any() or found.max() != 0:
        raise Failure(
            "not finite",
            f"the largest number of {what} is {found.max()}, not 0: subtract the "
            f"largest logit before the division",
        )


@exercise.property(points=4, inputs=nuclei, examples=30)
def nucleus(student, logits, p):
    """keep_top_p keeps the fewest likeliest tokens with probability p together."""
    q = probabilities(logits)
    alone = np.where(q >= p, logits, -np.inf)
    least = -np.inf * np.ones(len(q))
    order = np.argsort(q)
    before = np.cumsum(q[order]) - q[order]
    least[order[before < p]] = logits[order[before < p]]
    found = student.keep_top_p(logits, p)
    if np.array_equal(least, logits):
        least = kept_by(logits, p)  # tells nothing
    looking.equal(
        found,
        kept_by(logits, p),
        f"keep_top_p(logits, {p})",
        instead=[
            ("missing terms", logits, "Nothing is dropped."),
            (
                "missing terms",
                kept_by(logits, p, crossing=False),
                "The token that crosses p is dropped: what is left falls short of p.",
            ),
            ("order", least, "The least likely tokens are kept, not the likeliest."),
            ("value", alone, "Each token by itself is compared with p: sum them up."),
            ("value", np.where(np.isinf(kept_by(logits, p)), 0, logits), "−∞, not 0."),
        ],
    )


@exercise.property(points=1)
def at_the_edges(student):
    """p = 1 keeps all; a small p keeps one; ties keep the earlier token first."""
    ties = np.array([1.0, 1.0, 1.0, 1.0])
    inf = -np.inf
    for logits, p, expected in (
        (np.array([0.3, -1.0, 2.0]), 1.0, [0.3, -1.0, 2.0]),
        (np.array([0.3, -1.0, 2.0]), 1e-9, [inf, inf, 2.0]),
        (ties, 0.5, [1.0, 1.0, inf, inf]),
        # More than a sort leaves alone.
        (np.repeat([inf, 1.0], 64), 0.5, [inf] * 64 + [1.0] * 32 + [inf] * 32),
    ):
        found = student.keep_top_p(logits.copy(), p)
        one = np.where(logits == logits.min(), logits, inf)
        looking.equal(
            found,
            np.array(expected),
            f"keep_top_p({logits.tolist()}, {p})",
            instead=[("order", one, "The least likely token is kept.")],
        )


@exercise.property(points=1, inputs=nuclei)
def untouched(student, logits, p):
    """The logits that are given stay as they are, and so does their type."""
    single = logits.astype(np.float32)
    found = looking.array_of(student.keep_top_p(single, p), "keep_top_p(logits, p)")
    student.heat(single, 2.0)
    if not np.array_equal(single, logits.astype(np.float32)):
        raise Failure("write", "The logits are written into.")
    if found.dtype != np.float32:
        raise Failure("float64", f"logits of float32 give {found.dtype}")
