"""Memory: whether a run can fit, and which batch would."""

import bisect
import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace

from minillm.backend import Backend
from minillm.errors import DeviceError, option
from minillm.figures import short
from minillm.learning.config import TrainConfig
from minillm.models import ModelConfig
from minillm.models.count import cuda_memory_bytes, memory_bytes

# Shares of the prediction. It is within a fifth of the measured peak; of a causal
# model's attention over a very long context it counts the half that is never made.
SURE = 0.5
TIGHT = 0.8
# For each token of a whole batch, which every worker makes before it takes its share:
# the window it is in, what goes in, what is to be predicted.
BATCH_BYTES = 12


def needed(
    config: TrainConfig, shape: ModelConfig, n_workers: int, device: Backend
) -> int:
    """The predicted peak of a run on this device, in bytes."""
    sequences = at_a_time(config, n_workers, device)
    if device.kind == "cuda":
        return cuda_memory_bytes(shape, sequences)
    batches = n_workers * BATCH_BYTES * config.tokens_per_step
    return batches + memory_bytes(shape, sequences, n_workers)


def at_a_time(config: TrainConfig, n_workers: int, device: Backend) -> int:
    """The sequences that each worker has in hand at once."""
    return config.sequences_at_a_time(device.numbers_at_a_time, n_workers)


def tight(
    config: TrainConfig, shape: ModelConfig, n_workers: int, device: Backend
) -> str | None:
    """In words, that a run may not fit: where Linux runs out, it ends it unasked."""
    there = device.total_memory()
    expected = needed(config, shape, n_workers, device)
    if not there or expected < TIGHT * there:
        return None
    return (
        f"this run is expected to need {short(expected)}B of memory, and {device.name} "
        f"has {short(there)}B: should it be killed, "
        f"{_way_out(config, shape, n_workers, device)}"
    )


@contextlib.contextmanager
def within(
    config: TrainConfig, shape: ModelConfig | None, n_workers: int, device: Backend
) -> Iterator[None]:
    """Raise DeviceError, with a batch that would fit, where the block runs out of the
    device's memory; and before it begins, where it surely would. Without a shape, as of
    a model of one's own, no batch can be named."""
    there = device.total_memory()  # 0 where it cannot be asked
    least = SURE * needed(config, shape, n_workers, device) if shape else 0
    if there and least > there:
        raise DeviceError(
            f"this run needs at least {short(least)}B of memory, and {device.name} has "
            f"{short(there)}B: {_way_out(config, shape, n_workers, device)}"
        )
    try:
        yield
    except Exception as error:
        if not device.is_out_of_memory(error):
            raise
        raise DeviceError(
            f"out of memory, with {n_workers * at_a_time(config, n_workers, device)} "
            f"sequences of {config.context} tokens at a time: "
            f"{_way_out(config, shape, n_workers, device)}"
        ) from error


def _way_out(
    config: TrainConfig, shape: ModelConfig | None, n_workers: int, device: Backend
) -> str:
    """The largest batch that is predicted to fit, and takes at most half as much at a
    time: others may use the memory too."""
    if shape is None:
        return f"try a smaller {option('batch')}, or a larger {option('accumulate')}"
    there = device.total_memory() or float("inf")
    now = at_a_time(config, n_workers, device)
    # With one sequence at a time a smaller batch helps only where it is a large one.
    long = BATCH_BYTES * config.tokens_per_step > there / 10

    def fits(**changed) -> bool:
        smaller = replace(config, **{"accumulate": 1, **changed})
        halved = at_a_time(smaller, n_workers, device) <= now / 2 or (now == 1 and long)
        return halved and needed(smaller, shape, n_workers, device) <= there

    most = bisect.bisect(
        range(1, config.batch // 2 + 1), 0, key=lambda batch: not fits(batch=batch)
    )
    if most < n_workers:
        fewer = f"fewer {option('workers')}, " if n_workers > 1 else ""
        smaller = f"a smaller {option('size')} or {option('context')}"
        return f"no batch would fit: try {fewer}{smaller}"
    fewest = math.ceil(config.batch / math.ceil(most / n_workers))
    same = (
        f", and so would {option('accumulate', parts)}, the same training"
        for parts in range(fewest, min(2 * fewest, config.batch + 1))
        if config.batch % parts == 0 and fits(accumulate=parts)
    )
    return f"{option('batch', most)} would fit{next(same, '')}"
