"""Decoding speed: the seconds that a trained model takes to write one token."""

import time

import numpy as np

from minillm import backend
from minillm.models import GPT, LSTMModel


def seconds_per_token(model: GPT | LSTMModel, n: int = 48) -> float:
    """The median time of decoding one token with the cache, batch 1."""
    n = min(n, model.config.context - 1)
    cache = model.new_cache(1)
    seconds = []
    for _ in range(n + 1):
        begun = time.perf_counter()
        model.decode(np.zeros((1, 1), np.int32), cache)
        backend.current().synchronize()
        seconds.append(time.perf_counter() - begun)
    return float(np.median(seconds[1:] or seconds))
