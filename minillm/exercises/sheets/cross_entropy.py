"""Exercise: the loss of every language model."""

import math

import numpy as np

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise
from minillm.text.batch import IGNORED

exercise = Exercise(
    name="cross_entropy",
    title="the loss of a language model, in nats per token",
    task="""
    For each position there is a row of V logits and one target, the number of the token
    that comes next. The loss is the mean of −log p(target):

        loss = −Σ log_softmax(logits)[target] / n
        dL/dlogits = (softmax(logits) − one_hot(target)) · g / n

    logits (..., V), targets (...) whole numbers -> one number. A target that is IGNORED
    (−1: padding, or a token that is not to be predicted) counts neither in the sum nor
    in n, and its logits get gradient 0. Where no target is kept the loss is 0.

    Two names are computed above the blank. `n` is what the sum is divided by: the
    number of targets here, or `n_targets`, that of a whole batch of which these logits
    are a part. `kept` (..., 1) is True where there is a target.

    An op makes Tensors. `log_softmax.rule(logits)` is the same function on arrays: it
    returns its value and its pullback. You return the loss and one pullback, that of
    logits; `targets` is a setting and gets none.
    """,
    read="""the tour, stop 3; NumPy's page of `where`.""",
    cut=Cut("minillm.ops.loss", {"cross_entropy": "log_p, _ ="}),
    hints=(
        "Pick log_p at the target of each row. As an index IGNORED would be −1, the "
        "last token: compare the numbers 0 … V−1 with the targets instead.",
        "one_hot = xp.arange(V) == targets[..., None] is True in one place of each "
        "row that has a target, and nowhere in a row that is ignored. "
        "xp.where(one_hot, log_p, 0) picks.",
        "loss = -xp.where(one_hot, log_p, 0).sum() / n; its pullback is "
        "(xp.exp(log_p) - one_hot) * kept * (g / n).",
    ),
    builds_on=("softmax",),
    forbidden=("linear_cross_entropy",),
)


def some(c: Cases) -> dict:
    """Every position has a target."""
    rows, v = c.shape(min_dims=1, max_dims=2), c.integer(2, 5)
    return {"logits": c.numbers((*rows, v)), "targets": c.ids(v, rows)}


def padded(c: Cases) -> dict:
    """Some positions are ignored, one at least is not."""
    n, v = c.integer(2, 5), c.integer(2, 5)
    targets = c.ids(v, (n,))
    targets[: c.integer(1, n - 1)] = IGNORED
    return {"logits": c.numbers((n, v)), "targets": targets}


def part(c: Cases) -> dict:
    """A part of a batch that has more targets."""
    return {**padded(c), "n_targets": c.integer(6, 9)}


def nothing(c: Cases) -> dict:
    """Every position is ignored."""
    found = padded(c)
    return found | {"targets": np.full_like(found["targets"], IGNORED)}


def losses(logits, targets) -> list[float]:
    """−log p of each kept target, a row at a time in Python's own numbers."""
    found = []
    for row, target in zip(
        logits.reshape(-1, logits.shape[-1]).tolist(),
        targets.reshape(-1).tolist(),
        strict=True,
    ):
        if target != IGNORED:
            total = math.fsum(math.exp(x - max(row)) for x in row)
            found.append(math.log(total) + max(row) - row[target])
    return found


def look(student, logits, targets, n_targets=None, shift=0.0) -> None:
    each = losses(logits, targets)
    n = n_targets or max(len(each), 1)
    total, places = math.fsum(each), max(targets.size, 1)
    as_index = math.fsum(losses(logits, np.where(targets < 0, 0, targets)))
    as_last = math.fsum(
        losses(logits, np.where(targets < 0, logits.shape[-1] - 1, targets))
    )
    padding = "Positions that are ignored count: "
    mistakes = [
        ("scale", total, f"The sum is not divided by n, which is {n} here."),
        ("padding", total / places, f"{padding}the sum is divided by all positions."),
        (
            "scale",
            total / max(len(each), 1),
            f"The sum is divided by the targets of these rows, not by n, here {n}.",
        ),
        ("padding", as_last / n, f"{padding}−1 as an index is the last token."),
        ("padding", as_last / places, f"{padding}−1 as an index is the last token."),
        ("padding", as_index / n, f"{padding}as if they were token 0."),
        ("factor", total / n / math.log(2), "These are bits: the loss is in nats."),
    ]
    found = student.cross_entropy(logits + shift, targets=targets, n_targets=n_targets)
    looking.equal(found, np.array(total / n), "the loss", instead=mistakes)


@exercise.property(points=1, inputs=some)
def value(student, logits, targets):
    """The loss is the mean of −log p(target)."""
    look(student, logits, targets)


@exercise.property(points=1, inputs=padded)
def padding(student, logits, targets):
    """An ignored target counts neither in the sum nor in the number of targets."""
    look(student, logits, targets)


@exercise.property(points=1, inputs=part)
def part_of_a_batch(student, logits, targets, n_targets):
    """With n_targets the sum is divided by that number."""
    look(student, logits, targets, n_targets)


@exercise.property(points=1, inputs=some)
def large_logits(student, logits, targets):
    """Logits of 1000 give no overflow."""
    look(student, logits, targets, shift=1000.0)


@exercise.property(points=2, inputs=some)
def gradient(student, logits, targets):
    """The gradient of the logits is that of differences of the loss."""
    looking.gradients(student.cross_entropy, logits, targets=targets)


@exercise.property(points=2, inputs=part)
def gradient_with_padding(student, logits, targets, n_targets):
    """The logits of an ignored target get gradient 0, the others theirs."""
    looking.gradients(
        student.cross_entropy, logits, targets=targets, n_targets=n_targets
    )


@exercise.property(points=1, inputs=nothing)
def nothing_kept(student, logits, targets):
    """Where every target is ignored, the loss is 0 and finite."""
    found = student.cross_entropy(logits, targets=targets)
    looking.equal(found, np.array(0.0), "the loss without any target")


@exercise.property(points=1, inputs=padded)
def types(student, logits, targets):
    """float32 in, float32 out."""
    looking.types(student.cross_entropy, logits, targets=targets)
