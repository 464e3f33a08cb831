"""The learning rate of each step."""

import math

from minillm.learning.config import TrainConfig

COOLDOWN = 0.2  # the last fraction of a "wsd" run


def learning_rate(config: TrainConfig, step: int) -> float:
    """The rate of a step, numbered from 0, of a resolved configuration.

    All schedules warm up linearly. "cosine" then falls to `min_lr` along half a cosine
    (Loshchilov & Hutter 2017, eq. 5); "wsd" (warmup-stable-decay, Hu et al. 2024) stays
    and falls to it in a straight line over the last fifth; "constant" stays.
    """
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    if config.schedule == "constant":
        return config.lr
    # The fraction of the way from lr down to min_lr.
    if config.schedule == "cosine":
        done = (step - config.warmup) / max(1, config.steps - config.warmup)
        fallen = 0.5 * (1 - math.cos(math.pi * min(1.0, done)))
    else:
        cooldown = config.steps - cooldown_begins(config)
        fallen = max(0.0, 1 - (config.steps - step) / cooldown)
    return config.lr - fallen * (config.lr - config.min_lr)


def cooldown_begins(config: TrainConfig) -> int:
    """The steps of a "wsd" run before its rate falls. Up to there, a run does what any
    longer one does."""
    return config.steps - max(1, round(COOLDOWN * config.steps))


def branch_step(config: TrainConfig) -> int | None:
    """The step whose checkpoint a longer run can start from, if it is to be kept."""
    return cooldown_begins(config) if config.branch else None
