"""Steps on a GPU that nobody has waited for.

A GPU works off a queue: to read a number is to wait until the queue is empty, and then
it has nothing to do until the next step is asked for. So the loss and the norm of a
step stay there, in one array for many steps, until somebody wants to see them. What a
CPU decides before any weight moves – whether both are finite, and how far the gradient
is clipped – is decided on the GPU.
"""

from collections.abc import Callable, Iterator

import numpy as np

from minillm.backend import kernel, to_numpy, xp

ROWS = 1024  # steps; then somebody has to wait


class Unread:
    """The steps whose figures are still on the GPU, and the scale of the last one's
    gradient, which is 0 from the first step on that has a figure that is not finite:
    nothing moves any more."""

    def __init__(self, clip: float, wait: Callable[[], None]):
        self.clip = clip
        self.wait = wait  # wait for all that are here, before there are too many
        self.figures = xp.zeros((ROWS, 2), dtype=xp.float32)  # loss, squared norm
        self.begin()

    def begin(self) -> None:
        """Know of no step, and let weights move."""
        self.scale = xp.ones((), dtype=xp.float32)
        self.steps = []

    def scale_of(self, step, loss, squared_norm):
        """The scale of the gradient of a step that is under way, whose figures are 0-d
        arrays: one too, on the GPU."""
        if len(self.steps) == ROWS:
            self.wait()
        row = self.figures[len(self.steps)]
        before = self.scale
        self.scale = checked_scale(loss, squared_norm, before, row, clip=self.clip)
        self.steps.append(step)
        return self.scale

    def read(self) -> Iterator[tuple]:
        """Wait: (step, its loss, its norm) of each. All are kept until the last one has
        been looked at."""
        if self.steps:
            rows = to_numpy(self.figures)[: len(self.steps)].astype(np.float64)
            rows[:, 1] = np.sqrt(rows[:, 1])
            for step, row in zip(self.steps, rows.tolist(), strict=True):
                yield (step, *row)
            self.steps.clear()


@kernel
def checked_scale(loss, squared_norm, before, figures, *, clip):
    """`clip_scale` on the device, where all are finite now and were `before`; else 0.
    Writes the loss and the squared norm into `figures` (2,)."""
    figures[0] = loss
    figures[1] = squared_norm
    norm = xp.sqrt(squared_norm)
    scale = xp.minimum(clip / xp.maximum(norm, 1e-30), 1) if clip > 0 else 1
    fine = xp.isfinite(loss + norm) & (before > 0)
    return xp.where(fine, scale, 0).astype(before.dtype)


def step_or_stay(step: Callable, arrays: tuple, scale, settings: dict) -> None:
    """Run an optimizer's step in place on (data, grad, *moments), and put back what was
    there where the scale, a number on the device, is 0: the gradient may be NaN."""
    data, grad, *moments = arrays
    after = [xp.array(x) for x in (data, *moments)]
    step(after[0], grad, *after[1:], scale=scale, **settings)
    for old, new in zip((data, *moments), after, strict=True):
        old[...] = xp.where(scale > 0, new, old)
