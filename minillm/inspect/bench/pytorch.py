"""The same model in PyTorch, written as its users would, for `bench --against torch`.

Everything that PyTorch offers for speed at this place is used: fused attention, the
fused AdamW, and, for "torch-compile", its compiler.
"""

import contextlib
import dataclasses

import numpy as np
import torch

from minillm.backend.memory import family_bytes, keep_freed_memory
from minillm.inspect.bench.contest import Job
from minillm.inspect.bench.pytorch_models import copy_weights, new_peer
from minillm.learning.config import WEIGHTS
from minillm.models import build
from minillm.text import Batch


class Contender(contextlib.ExitStack):
    """PyTorch with as many threads as this engine has workers."""

    def __init__(self, name: str, job: Job):
        super().__init__()
        keep_freed_memory()  # the same allocator settings for all
        torch.set_num_threads(job.workers[1])
        self.device = torch.device(job.device)
        self.job = job
        self.model = new_peer(job.shape)
        weights = np.random.default_rng((job.seed, 0, WEIGHTS))
        copy_weights(build(job.shape, weights), self.model)
        self.model.to(self.device)
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        groups = [
            {
                "params": [p for p in parameters if p.ndim >= 2],
                "weight_decay": job.weight_decay,
            },
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(
            groups, lr=job.lr, betas=(0.9, 0.99), eps=1e-8, fused=True
        )
        compiled = name == "torch-compile"
        self.loss = torch.compile(self.model.loss) if compiled else self.model.loss
        self.cache = None

    def train(self, step: int) -> float:
        loss = self.loss(self._tensors(self.job.batch(step)))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.item()  # waits for the device

    @torch.inference_mode()
    def decode(self, step: int) -> float:
        shape, n = self.job.shape, self.job.batches.shape[1]
        if self.cache is None or self.position == shape.context:
            self.cache = self.model.new_cache(n, self.device)
            self.position = 0
        ids = torch.full((n, 1), step % shape.vocab_size, device=self.device)
        logits = self.model.decode(ids, self.cache, self.position)
        self.position += 1
        return logits.max().item()

    def _tensors(self, batch: Batch) -> Batch:
        """The same batch on the device; PyTorch wants its ids in 64 bits."""
        tensors = {}
        for name, value in vars(batch).items():
            if isinstance(value, np.ndarray):
                kind = bool if value.dtype == bool else np.int64
                tensors[name] = torch.from_numpy(value.astype(kind)).to(self.device)
        return dataclasses.replace(batch, **tensors)

    def memory(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return family_bytes()
