"""Exercise: the learning rate of each step."""

import math

import numpy as np

from minillm.exercises import looking
from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise

LR = 0.5

exercise = Exercise(
    name="schedule",
    title="the learning rate of each step",
    task="""
    A run begins with small steps, makes large ones, and ends with small ones. Steps
    count from 0; `config` has lr, min_lr, warmup, steps and schedule.

    Warm-up, the first `warmup` steps: the rate rises in a straight line. Step 0 has
    lr / warmup (not 0: nothing would be learned), step warmup − 1 has lr.

    After it, by `config.schedule`:

        "constant"   the rate stays lr
        "cosine"     it falls to min_lr along half a cosine (Loshchilov & Hutter 2017):
                     fallen = ½ (1 − cos(π done)), where done is the share of the steps
                     after the warm-up that are behind: 0 at its end, 1 at config.steps
        "wsd"        it stays lr until `cooldown_begins(config)`, then falls to min_lr
                     in a straight line (warmup-stable-decay, Hu et al. 2024): fallen
                     is 0 there and 1 at config.steps

    `fallen` is the share of the way from lr down to min_lr. A cosine over no steps at
    all (warmup as long as the run) must not divide by 0.
    """,
    read="""the tour, stop 6; Loshchilov & Hutter 2017, eq. 5.""",
    cut=Cut("minillm.learning.schedule", {"learning_rate": ""}),
    hints=(
        "Write the three parts of the run as three cases, the warm-up first. Try each "
        "formula at its first and at its last step.",
        "cosine: done = (step − warmup) / (steps − warmup), and at most 1. wsd: of the "
        "cooldown's length, steps − step are left.",
        "wsd: cooldown = config.steps - cooldown_begins(config); fallen = max(0.0, 1 - "
        "(config.steps - step) / cooldown); return lr - fallen * (lr - min_lr)",
    ),
)


def run(c: Cases) -> dict:
    warmup = c.integer(1, 6)
    steps = warmup + c.integer(1, 30)
    return {
        "warmup": warmup,
        "steps": steps,
        "min_lr": c.one_of(0.0, 0.1),
        "step": c.integer(0, steps - 1),
    }


def config_of(schedule: str, warmup: int, steps: int, min_lr: float):
    from minillm.learning.config import TrainConfig

    return TrainConfig(
        schedule=schedule, warmup=warmup, steps=steps, min_lr=LR * min_lr, lr=LR
    )


def look(student, schedule: str, step: int, expected: float, instead=(), **of) -> None:
    """The rates are in shares of lr."""
    looking.equal(
        student.learning_rate(config_of(schedule, **of), step),
        np.array(LR * expected),
        f"the rate of step {step}, {schedule!r}, {of['steps']} steps",
        instead=[(kind, np.array(LR * number), says) for kind, number, says in instead],
    )


@exercise.property(points=2, inputs=run)
def warm_up(student, warmup, steps, min_lr, step):
    """The rate rises in a straight line, from lr / warmup to lr."""
    step = step % warmup
    late = ("order", step / warmup, "Step 0 has rate 0: the warm-up is a step late.")
    for schedule in ("constant", "cosine", "wsd"):
        expected = (step + 1) / warmup
        of = {"warmup": warmup, "steps": steps, "min_lr": min_lr}
        look(student, schedule, step, expected, [late], **of)


@exercise.property(points=1, inputs=run)
def constant(student, warmup, steps, min_lr, step):
    """A constant rate stays."""
    step = max(step, warmup)
    of = {"warmup": warmup, "steps": steps, "min_lr": min_lr}
    look(student, "constant", min(step, steps - 1), 1.0, **of)


@exercise.property(points=2, inputs=run)
def cosine(student, warmup, steps, min_lr, step):
    """The rate falls along half a cosine, from the end of the warm-up to the end."""
    step = warmup + step % (steps - warmup)

    def rate(done: float) -> float:
        """cos² of the half angle is the share that is left."""
        return min_lr + (1 - min_lr) * math.cos(math.pi * done / 2) ** 2

    done = (step - warmup) / (steps - warmup)
    look(
        student,
        "cosine",
        step,
        rate(done),
        [
            (
                "order",
                rate(step / steps),
                "The cosine begins at the end of the warm-up.",
            ),
            (
                "order",
                rate(min(1.0, step / (steps - warmup))),
                "The steps of the warm-up count as behind: subtract them.",
            ),
            ("sign", 1 + min_lr - rate(done), "The rate rises: cos is added."),
            (
                "scale",
                math.cos(math.pi * done / 2) ** 2,
                "It falls to 0, not to min_lr.",
            ),
            (
                "factor",
                min_lr + (1 - min_lr) * (1 + math.cos(2 * math.pi * done)) / 2,
                "It is half a cosine: from 0 to π.",
            ),
        ],
        warmup=warmup,
        steps=steps,
        min_lr=min_lr,
    )


@exercise.property(points=2, inputs=run)
def stable_then_down(student, warmup, steps, min_lr, step):
    """The rate of "wsd" stays, and falls in a straight line over the cooldown."""
    length = max(1, round(0.2 * steps))  # the last fifth
    for at in (max(step, warmup), steps - 1, max(steps - length, warmup)):
        left = steps - at
        expected = 1.0 if left >= length else min_lr + (1 - min_lr) * left / length
        late = min(left - 1, length) / length
        look(
            student,
            "wsd",
            at,
            expected,
            [
                (
                    "order",
                    min_lr + (1 - min_lr) * late,
                    "The last step has min_lr itself: that is one step early.",
                ),
                ("scale", min(left / length, 1), "It falls to 0, not to min_lr."),
                ("sign", 1 + min_lr - expected, "It rises where it is to fall."),
                ("missing terms", 1.0, "The rate does not fall."),
            ],
            warmup=warmup,
            steps=steps,
            min_lr=min_lr,
        )


@exercise.property(points=1)
def no_steps_left(student):
    """A warm-up as long as the run leaves nothing to divide by."""
    for schedule, rate in (("cosine", 1.0), ("wsd", 0.0), ("constant", 1.0)):
        look(student, schedule, 5, rate, warmup=5, steps=5, min_lr=0.0)
