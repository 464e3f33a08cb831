"""How long a run will take on this machine, before its first step."""

import time

from minillm.learning.learner import Learner

# A run of fewer FLOPs is over in seconds, and its bar says soon how long it takes.
LONG = 1e12
PARTS = 64  # the share of the validation batch that is timed
# A step is a forward pass and a backward pass of about twice its FLOPs.
PASSES = 3


def expected_seconds(learner: Learner, n_done: int) -> float | None:
    """Seconds of the steps that are left, from forward passes over a share of the
    validation batch, which change nothing. None for a short run, or where nobody knows
    its FLOPs."""
    config, text = learner.config, learner.text
    if learner.own or learner.ranks:
        return None
    from minillm.models import count

    tokens = (config.steps - n_done) * text.tokens_per_step(config)
    if tokens * count.flops_per_token(learner.model.config) < LONG:
        return None
    size = learner.work.validation.ids.size
    seconds = {}
    # The first is slower: memory is taken, or kernels are compiled.
    for every in (2 * PARTS, PARTS):
        began = time.perf_counter()
        learner.evaluate(every)
        seconds[every] = time.perf_counter() - began
    return PASSES * seconds[PARTS] * tokens / max(1, size / PARTS)


def in_words(seconds: float) -> str:
    """A time that is not known exactly: `about 3 h`."""
    for unit, letter in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * unit:
            return f"about {seconds / unit:.0f} {letter}"
    return f"about {seconds:.0f} s"
