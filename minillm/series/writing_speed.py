"""Decoding speed of a series, from its smallest model to some that were not trained.

A short run would measure little else than what a call costs at any size. How long a
token takes does not depend on what the weights have learned, so larger models need no
training for this.
"""

import numpy as np

from minillm.learning.process import threads
from minillm.models import build, count
from minillm.runs.evaluation import seconds_per_token
from minillm.series.plan import Plan

ROUNDS = 5  # the fastest counts: whatever disturbs a round only adds to it


def time_decoding(plan: Plan, vocab_size: int) -> list[dict]:
    """Seconds per token of every size, with one BLAS thread and nothing beside it.

    Returns [{width, trained, parameters, seconds_per_token}]; the seconds are None
    where the architecture continues no text.
    """
    trained = {*plan.ladder.widths, plan.ladder.held_out}
    models = {}
    for width in sorted(trained | {*plan.ladder.untrained}):
        shape = plan.config(width).resolve().shape(vocab_size)
        models[width] = build(shape, np.random.default_rng(0))
    seconds = dict.fromkeys(models)
    if all(model.continues_text for model in models.values()):
        with threads(1):
            rounds = [
                [seconds_per_token(model) for model in models.values()]
                for _ in range(ROUNDS)
            ]
        seconds = dict(zip(models, np.min(rounds, axis=0).tolist(), strict=True))
    return [
        {
            "width": width,
            "trained": width in trained,
            "parameters": count.parameters(model.config),
            "seconds_per_token": seconds[width],
        }
        for width, model in models.items()
    ]
