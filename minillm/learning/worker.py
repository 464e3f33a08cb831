"""A worker turns its share of each batch into a gradient.

It holds a replica: a copy of the model over the same weights, with a flat gradient of
its own. All workers (`workers.py`) do the same three things at the same time: compute
a gradient, add up one slice of everybody's gradients, update that slice of the weights.
"""

import math
from dataclasses import dataclass

import numpy as np

from minillm import backend
from minillm.learning.batches import make_batch
from minillm.learning.config import OBJECTIVE, TrainConfig
from minillm.learning.evaluate import Score, evaluate
from minillm.learning.flat import FlatParameters
from minillm.learning.optimizer import SGD, AdamW, squared_norm
from minillm.models import LanguageModel
from minillm.nn import Noise
from minillm.text import Batch, Shuffled, Tokenizer

LINE = 16  # float32 numbers in a cache line


@dataclass
class Workplace:
    """What all workers of a run share."""

    config: TrainConfig  # resolved
    model: LanguageModel
    flat: FlatParameters
    optimizer: AdamW | SGD
    gradients: list  # one flat buffer for each worker
    sampler: Shuffled
    tokenizer: Tokenizer
    validation: Batch | None


class Worker:
    """Worker `rank` of `n`."""

    def __init__(self, work: Workplace, rank: int, n: int):
        self.work = work
        self.rank = rank
        self.n = n
        self.gradient = work.gradients[rank]
        # The first worker's replica is the model itself.
        self.model = work.model.replica() if rank else work.model
        work.flat.collect_gradients(self.model, self.gradient)
        self.at_a_time = work.config.sequences_at_a_time(
            backend.of(work.flat.data).numbers_at_a_time
        )
        # Slices begin at cache lines, so that no two workers write into one.
        lines = work.flat.size // LINE
        self.part = slice(
            rank * lines // n * LINE,
            (rank + 1) * lines // n * LINE if rank + 1 < n else work.flat.size,
        )

    def compute(self, step: int):
        """The gradient of this worker's share of the step's batch; returns its share
        of the loss (nats per kept target of the whole batch)."""
        config = self.work.config
        # The whole batch, then a share of it: what the objective draws must not depend
        # on the number of workers.
        batch = batch_at(self.work, step)
        self.gradient[...] = 0
        total = 0.0
        share = batch.shard(self.rank, self.n)
        n_parts = math.ceil(len(share.ids) / self.at_a_time)
        for part in range(n_parts):
            micro = share.shard(part, n_parts)
            noise = None
            if config.dropout:
                noise = Noise(config.dropout, config.seed, step, micro.first_row)
            loss = self.model.loss(micro, noise)
            loss.backward()
            total = total + loss.data
        return total

    def reduce(self):
        """Add up this worker's slice of all gradients, in the order of rank, into the
        first one; returns the squared norm of the sum."""
        total = self.work.gradients[0][self.part]
        for other in self.work.gradients[1:]:
            total += other[self.part]
        return squared_norm(total)

    def update(self, step: int, lr: float, scale: float) -> None:
        """Update this worker's slice of the weights. `step` counts from 0."""
        self.work.optimizer.update(
            self.part, self.work.gradients[0], lr=lr, step=step + 1, scale=scale
        )

    def evaluate(self, every: int = 1) -> Score:
        """How the model predicts this worker's share of the validation batch."""
        return evaluate(
            self.model,
            self.work.validation,
            self.at_a_time,
            every=every,
            rank=self.rank,
            n=self.n,
        )


def batch_at(work: Workplace, step: int) -> Batch:
    """The whole batch of a step: a pure function of the run's seed and the step."""
    config = work.config
    examples = work.sampler.at(step, config.batch)
    rng = np.random.default_rng((config.seed, step, OBJECTIVE))
    return make_batch(config, examples, rng, work.tokenizer)
