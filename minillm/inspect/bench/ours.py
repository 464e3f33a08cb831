"""minillm as a contender: the training step and the decoding that users run."""

import contextlib

import numpy as np

from minillm import backend
from minillm.backend.memory import keep_freed_memory
from minillm.inspect.bench.contest import Job
from minillm.learning.config import WEIGHTS, TrainConfig
from minillm.learning.learner import Learner
from minillm.models import build
from minillm.models.next_token import NextToken


class Contender(contextlib.ExitStack):
    """A Learner over the job's batches."""

    def __init__(self, _name: str, job: Job):
        super().__init__()
        self.where = self.enter_context(backend.use(job.device))
        keep_freed_memory()
        shape = job.shape
        config = TrainConfig(
            arch=shape.arch,
            objective=job.objective,
            n_layers=shape.n_layers,
            d_model=shape.d_model,
            n_heads=shape.n_heads,
            context=shape.context,
            batch=job.batches.shape[1],
            steps=10**9,  # as many as the contest wants
            weight_decay=job.weight_decay,
            seed=job.seed,
            schedule="constant",
            lr=job.lr,
            warmup=0,
            clip=0.0,
            device=job.device,
        ).resolve()
        kind, n = job.workers
        model = build(shape, np.random.default_rng((job.seed, 0, WEIGHTS)))
        workers = n if kind == "device" else f"{kind}:{n}"
        learner = Learner(config, _Text(job), workers=workers, model=model)
        self.job = job
        self.model = model
        self.next = None
        self.learner = self.enter_context(learner)

    def train(self, step: int) -> float:
        return self.learner.step(step).loss

    def decode(self, step: int) -> float:
        """One token of each sequence; returns the largest logit."""
        shape, n = self.job.shape, self.job.batches.shape[1]
        if self.next is None or self.next.cache[0].length == shape.context:
            self.next = NextToken(self.model, self.model.new_cache(n))
        ids = np.full((n, 1), step % shape.vocab_size)
        return float(self.next.decode(ids).max())

    def memory(self) -> int:
        return self.where.memory()["peak"]


class _Text:
    """The job's tokens, as a text that a Learner reads."""

    labels = ()

    def __init__(self, job: Job):
        self.job = job
        self.tokenizer = job.tokenizer

    def sampler(self, _config) -> "_Text":
        return self

    def validation(self, _config) -> None:
        return None

    def at(self, step: int, _batch_size: int):
        return self.job.examples(step)
