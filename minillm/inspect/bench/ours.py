"""This engine as a contender: the training step and the decoding that users get."""

import contextlib

import numpy as np

from minillm import backend
from minillm.inspect.bench.contest import Job
from minillm.text import train_tokenizer
from minillm.training.config import TrainConfig
from minillm.training.process import keep_freed_memory, one_blas_thread
from minillm.training.replica import Replica, set_up
from minillm.training.team import Team


class Contender(contextlib.ExitStack):
    """Replicas over the job's batches."""

    def __init__(self, _name: str, job: Job):
        super().__init__()
        self.where = self.enter_context(backend.use(job.device))
        keep_freed_memory()
        self.enter_context(one_blas_thread())
        shape = job.shape
        _, batch, length = job.batches.shape
        config = TrainConfig(
            layers=shape.n_layers,
            width=shape.d_model,
            heads=shape.n_heads,
            context=length - 1,
            batch=batch,
            weight_decay=job.weight_decay,
            seed=job.seed,
        ).resolve()
        work = set_up(
            config,
            shape,
            job.workers,
            sampler=_Given(job),
            tokenizer=train_tokenizer("bytes", ""),
        )
        kind, n = job.workers
        self.job = job
        self.model = work.model
        self.cache = None
        self.team = self.enter_context(
            Team(lambda rank: Replica(work, rank, n), kind, n)
        )

    def train(self, step: int) -> float:
        loss = sum(self.team.call("compute", step))
        self.team.call("reduce")
        self.team.call("update", step, self.job.lr, 1.0)
        return float(loss)

    def decode(self, step: int) -> float:
        """One token; returns its largest logit."""
        if self.cache is None or self.cache[0].length == self.job.shape.context:
            self.cache = self.model.new_cache(1)
        ids = np.array([[step % self.job.shape.vocab_size]], np.int32)
        return float(self.model.decode(ids, self.cache).max())

    def memory(self) -> int:
        return self.where.memory()["peak"]


class _Given:
    """Examples that are the job's batches."""

    def __init__(self, job: Job):
        self.job = job

    def at(self, step: int, _batch_size: int) -> np.ndarray:
        return self.job.batch(step)
