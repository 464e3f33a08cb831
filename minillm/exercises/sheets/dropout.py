"""Exercise: dropout with a mask that is a hash of the place."""

import numpy as np

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise, Failure

MANY = (200, 50)

exercise = Exercise(
    name="dropout",
    title="dropout by a hash",
    task="""
    Dropout sets a fraction `rate` of the numbers to 0 and divides the others by
    1 − rate, so that the mean stays (Srivastava et al. 2014):

        value = x · m / (1 − rate)        m is 1 where a number is kept, else 0

    Where does the mask m come from? `hashed_uniform(shape, key, first_row)` gives each
    place a whole number from 0 to 2³² − 1, all equally likely. A number is kept where
    that number is at least rate · 2³², which happens with probability 1 − rate. The
    same key gives the same mask again, whoever computes it.

    x may be a share of the batch: the rows from `first_row` on. Hand `first_row` on to
    the hash, and each worker has its part of one large mask.

    The pullback uses the same mask as the value.
    """,
    read="""the tour, stop 3; `hashed_uniform` in minillm/ops/noise.py.""",
    cut=Cut("minillm.ops.noise", {"dropout": ""}),
    hints=(
        "A comparison of an array with a number gives an array of True and False; "
        "`astype(x.dtype)` makes 1 and 0 of them, in the type of x.",
        "Compute the mask, divided by 1 − rate, once. The value is x times that, and "
        "the gradient is g times that.",
        "kept = hashed_uniform(x.shape, key, first_row) >= int(rate * 2**32)",
    ),
    forbidden=("definition_of",),
)


def small(c: Cases) -> dict:
    return {
        "x": c.numbers(c.shape(min_dims=1)),
        "rate": c.one_of(0.5, 0.25, 0.1, 0.75),
        "key": c.integer(0, 1000),
    }


def large(c: Cases) -> dict:
    return {"rate": c.one_of(0.5, 0.25, 0.1, 0.75), "key": c.integer(0, 1000)}


def dropped(student, x, **settings) -> np.ndarray:
    found = looking.array_of(student.dropout(x, **settings), "dropout(x)")
    if found.shape != x.shape:
        raise Failure("shape", f"dropout(x) has shape {found.shape}, x has {x.shape}")
    return found


@exercise.property(points=2, inputs=large, examples=5)
def fraction(student, rate, key):
    """About a fraction `rate` of 10,000 numbers becomes 0."""
    found = dropped(student, np.ones(MANY), rate=rate, key=key)
    share = float((found == 0).mean())
    if abs(share - (1 - rate)) < 0.03 and rate != 0.5:
        raise Failure(
            "value",
            f"A fraction {share:.3f} is 0, with rate = {rate}: what is to be dropped "
            f"is kept, and what is to be kept is dropped.",
        )
    if abs(share - rate) > 0.03:  # six standard deviations
        raise Failure("value", f"A fraction {share:.3f} is 0; the rate is {rate}.")


@exercise.property(points=2, inputs=small)
def scale(student, x, rate, key):
    """What is kept is divided by 1 − rate."""
    found = dropped(student, x, rate=rate, key=key)
    at = found != 0
    ratios = found[at] / x[at]
    for factor, says in (
        (1.0, "What is kept is not scaled: divide it by 1 − rate."),
        (1 - rate, "What is kept is multiplied by 1 − rate: divide it."),
        (1 / rate if rate != 0.5 else 0, "What is kept is divided by rate."),
    ):
        if ratios.size and np.allclose(ratios, factor):
            raise Failure("scale", says)
    looking.equal(ratios, np.full(ratios.shape, 1 / (1 - rate)), "kept / x")


@exercise.property(points=1, inputs=large, examples=5)
def same_key_same_mask(student, rate, key):
    """One key gives one mask, another key another."""
    x = np.ones(MANY)
    first = dropped(student, x, rate=rate, key=key)
    if not np.array_equal(first, dropped(student, x, rate=rate, key=key)):
        raise Failure("random", "A second call with the same key gives another mask.")
    if np.array_equal(first, dropped(student, x, rate=rate, key=key + 1)):
        raise Failure("value", "Another key gives the same mask: is `key` used?")


@exercise.property(points=1, inputs=large, examples=5)
def shares_of_a_batch(student, rate, key):
    """The rows from `first_row` on get their part of the whole batch's mask."""
    x = np.ones((8, 20))
    whole = dropped(student, x, rate=rate, key=key)
    share = dropped(student, x[3:], rate=rate, key=key, first_row=3)
    if np.array_equal(share, whole[:5]) and not np.array_equal(share, whole[3:]):
        raise Failure(
            "value", "The share has the mask of the first rows: is `first_row` used?"
        )
    looking.equal(share, whole[3:], "dropout(x[3:], first_row=3)")


@exercise.property(points=2, inputs=small)
def gradient(student, x, rate, key):
    """The gradient has the mask and the scale of the value."""
    looking.gradients(student.dropout, x, rate=rate, key=key)


@exercise.property(points=1, inputs=small)
def types(student, x, rate, key):
    """float32 in, float32 out."""
    looking.types(student.dropout, x, rate=rate, key=key)
