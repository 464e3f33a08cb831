"""state.json of a checkpoint: whether its numbers are possible for this run."""

import math

FAR = 1e30  # beyond any loss that is finite, or any seconds


def is_possible(state: dict, steps: int) -> bool:
    """Whether these are a step of a run of so many `steps`, the seconds and the losses
    until then, and the best evaluation."""
    step, seconds, losses, logged = map(
        state.get, ("step", "seconds", "losses", "logged")
    )
    return (
        all(isinstance(number, int) for number in (step, logged))
        and 0 <= logged <= step <= steps
        and isinstance(losses, list)
        and len(losses) >= max(step - logged, min(step, 1))
        and all(
            isinstance(number, float) and abs(number) < FAR
            for number in (seconds, *losses)
        )
        and seconds >= 0
        and _is_possible_best(state.get("best"), step)
    )


def _is_possible_best(best: dict | None, step: int) -> bool:
    if best is None:
        return True
    return (
        isinstance(best, dict)
        and isinstance(best.get("step"), int)
        and 0 < best["step"] <= step
        and isinstance(best.get("val_loss"), float)
        and math.isfinite(best["val_loss"])
    )
