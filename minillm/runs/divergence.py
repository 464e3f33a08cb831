"""diverged.json: what is known of a step whose loss or gradient is not finite, which
`Learner.step` has noticed."""

import math

from minillm.backend import to_numpy
from minillm.learning.schedule import learning_rate
from minillm.learning.worker import Workplace, batch_at


def where(work: Workplace, n_done: int, figures: dict) -> dict:
    """Where it happened, in the last of `n_done` steps: its rate, what it read, and
    the first parameter whose gradient or value is not finite."""

    def first_lost(buffer) -> str | None:
        for name, view in work.flat.views(buffer).items():
            if not math.isfinite(abs(to_numpy(view)).max(initial=0)):
                return name
        return None

    return {
        "step": n_done,
        "learning_rate": learning_rate(work.config, n_done - 1),
        "figures": {
            name: value if math.isfinite(value) else str(value)
            for name, value in figures.items()
        },
        "first_gradient": first_lost(work.gradients[0]),
        "first_weight": first_lost(work.flat.data),
        "batch_ids": batch_at(work, n_done - 1).ids.tolist(),
    }
