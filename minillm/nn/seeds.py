"""Seeds of layers that stand for themselves, in no model."""

import numpy as np

from minillm.nn.init import Initializer

_stream = np.random.default_rng(0)


def seed(number: int) -> None:
    """From now on, layers that are given no seed draw their weights from a stream of
    this one. A process begins with 0: a script draws the same weights at each start."""
    global _stream
    _stream = np.random.default_rng(number)


def by_seed(init: np.random.Generator | int | str | None) -> Initializer:
    """What a layer draws its weights with: a Generator, a seed, or the process's own
    stream (`seed`), which a rule's name leaves in place."""
    if isinstance(init, str):
        return Initializer(_stream, init)
    return Initializer(_stream if init is None else np.random.default_rng(init))
