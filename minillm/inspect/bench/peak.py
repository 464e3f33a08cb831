"""The fastest matrix product of this machine, the yardstick of everything else."""

import time

from minillm import backend
from minillm.ops import linear
from minillm.tensor import Tensor, no_grad


def matmul_peak(n: int = 768, repeats: int = 12) -> float:
    """FLOPs per second of one thread (or the device) on square float32 products."""
    where = backend.current()
    a = Tensor(where.xp.ones((n, n), dtype=where.xp.float32))
    best = 0.0
    with no_grad():
        for _ in range(repeats):
            begun = time.perf_counter()
            linear(a, a, None)
            where.synchronize()
            best = max(best, 2 * n**3 / (time.perf_counter() - begun))
    return best
