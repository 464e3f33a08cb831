"""How fast models of a series write, from the smallest to some that were not trained.

A short run would measure little else than what a call costs at any size. How long a
token takes does not depend on what the weights have learned, so larger models need no
training for this.
"""

import numpy as np

from minillm.models import build, count
from minillm.scaling.plan import Plan
from minillm.training.decoding_speed import seconds_per_token
from minillm.training.process import one_blas_thread

ROUNDS = 3  # the median of them: a moment's disturbance does not show


def time_decoding(plan: Plan, vocab_size: int) -> list[dict]:
    """Seconds per token of every size, with one BLAS thread and nothing beside it.

    Returns [{width, trained, parameters, seconds_per_token}].
    """
    widths = {**dict.fromkeys(plan.ladder.untrained, False)}
    widths |= dict.fromkeys([*plan.ladder.widths, plan.ladder.held_out], True)
    found = []
    for width, trained in sorted(widths.items()):
        shape = plan.config(width).model(vocab_size)
        model = build(shape, np.random.default_rng(0))
        with one_blas_thread():
            rounds = [seconds_per_token(model) for _ in range(ROUNDS)]
        found.append(
            {
                "width": width,
                "trained": trained,
                "parameters": count.parameters(shape),
                "seconds_per_token": float(np.median(rounds)),
            }
        )
    return found
