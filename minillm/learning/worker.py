"""A worker turns its shard of each batch into a gradient.

It holds a replica: a copy of the model over the same weights, with a flat gradient of
its own. All workers (`worker_pool.py`) do the same three things at the same time:
compute a gradient, add up one slice of all gradients, update that slice of the weights.
Steps are numbered from 0.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minillm import backend, nn  # nn.Noise: a file of its own
from minillm.learning.config import OBJECTIVE, TrainConfig
from minillm.learning.encoded import make_batch
from minillm.learning.evaluate import Score, score_parts
from minillm.learning.flat import FlatParameters
from minillm.learning.optimizer import Optimizer, squared_norm
from minillm.models import LanguageModel
from minillm.nn import Module
from minillm.text import Batch, Shuffled, Tokenizer

LINE = 16  # float32 numbers in a cache line


@dataclass
class Workplace:
    """What all workers of a run use together."""

    config: TrainConfig  # resolved
    model: Module
    flat: FlatParameters
    optimizer: Optimizer
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
        self.loss = loss_function(self.model)
        work.flat.collect_gradients(self.model, self.gradient)
        self.at_a_time = work.config.sequences_at_a_time(
            backend.of(work.flat.data).numbers_at_a_time
        )
        self.slice = part(work.flat.size, rank, n)

    def compute(self, step: int):
        """The gradient of this worker's shard of the step's batch; returns its part of
        the loss (nats per kept target of the whole batch)."""
        config = self.work.config
        # The whole batch, then a shard of it: what the objective draws must not depend
        # on the number of workers.
        batch = batch_at(self.work, step)
        self.gradient[...] = 0
        loss_so_far = 0.0
        shard = batch.shard(self.rank, self.n)
        n_microbatches = math.ceil(len(shard.ids) / self.at_a_time)
        for i in range(n_microbatches):
            microbatch = shard.shard(i, n_microbatches)
            noise = None
            if config.dropout or config.attention_dropout:
                at = config.seed, step, microbatch.first_row
                noise = nn.Noise(config.dropout, *at, config.attention_dropout)
            loss = self.loss(microbatch, noise)
            loss.backward()
            loss_so_far = loss_so_far + loss.data
        return loss_so_far

    def reduce(self):
        """Add up this worker's slice of all gradients, in the order of rank, into the
        first one; returns the squared norm of the sum."""
        gradient = self.work.gradients[0][self.slice]
        for other in self.work.gradients[1:]:
            gradient += other[self.slice]  # a view: this writes into gradients[0]
        return squared_norm(gradient)

    def update(self, step: int, lr: float, scale: float) -> None:
        """Update this worker's slice of the weights."""
        self.work.optimizer.update(
            self.slice, self.work.gradients[0], lr=lr, step=step + 1, scale=scale
        )

    def evaluate(self, every: int = 1) -> Score:
        """How the model predicts this worker's parts of the validation batch."""
        return sum(self.score_parts(every), Score())

    def score_parts(self, every: int = 1) -> list[Score]:
        """The same for each of them."""
        validation, size = self.work.validation, self.at_a_time
        return score_parts(self.model, validation, size, every, self.rank, self.n)


def part(size: int, rank: int, n: int) -> slice:
    """Slice `rank` of `n` of a flat buffer. They begin at cache lines, so that no two
    workers write into one."""
    lines = size // LINE
    end = (rank + 1) * lines // n * LINE if rank + 1 < n else size
    return slice(rank * lines // n * LINE, end)


def loss_function(model: Module) -> Callable:
    """What makes the loss of a batch and a noise."""
    if isinstance(model, LanguageModel):
        return model.loss
    from minillm.learning.own_model import loss_of  # opened for such a model only

    return functools.partial(loss_of, model)


def batch_at(work: Workplace, step: int) -> Batch:
    """The whole batch of a step: a pure function of the run's seed and the step."""
    config = work.config
    examples = work.sampler.at(step, config.batch)  # see `text/examples.py`
    rng = np.random.default_rng((config.seed, step, OBJECTIVE))
    return make_batch(config, examples, rng, work.tokenizer)
