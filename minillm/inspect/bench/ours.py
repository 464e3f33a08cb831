"""minillm as a contender: the training step and the decoding that users run."""

import contextlib

import numpy as np

from minillm import backend
from minillm.backend.memory import keep_freed_memory
from minillm.inspect.bench.contest import Job
from minillm.learning.config import WEIGHTS, TrainConfig
from minillm.learning.learner import Learner
from minillm.models import build


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
        self.cache = None
        self.learner = self.enter_context(learner)

    def train(self, step: int) -> float:
        return self.learner.step(step).loss

    def decode(self, step: int) -> float:
        """One token; returns its largest logit."""
        if self.cache is None or self.cache[0].length == self.job.shape.context:
            self.cache = self.model.new_cache(1)
        ids = np.array([[step % self.job.shape.vocab_size]], np.int32)
        return float(self.model.decode(ids, self.cache).max())

    def memory(self) -> int:
        return self.where.memory()["peak"]


class _Text:
    """The job's tokens, as a text that a Learner reads."""

    def __init__(self, job: Job):
        self.job = job
        self.tokenizer = job.tokenizer

    def sampler(self, _config) -> "_Text":
        return self

    def validation(self, _config) -> None:
        return None

    def at(self, step: int, _batch_size: int):
        return self.job.examples(step)
