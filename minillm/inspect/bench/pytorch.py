"""The same model in PyTorch, written as its users would, for `bench --against torch`.

Everything that PyTorch offers for speed at this place is used: fused attention, the
fused AdamW, and, for "torch-compile", its compiler.
"""

import contextlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from minillm.backend.memory import family_bytes, keep_freed_memory
from minillm.inspect.bench.contest import Job
from minillm.learning.config import WEIGHTS
from minillm.models import ModelConfig, build
from minillm.nn.config import head_width


class Contender(contextlib.ExitStack):
    """PyTorch with as many threads as this engine has workers."""

    def __init__(self, name: str, job: Job):
        super().__init__()
        keep_freed_memory()  # the same allocator settings for all
        torch.set_num_threads(job.workers[1])
        self.device = torch.device(job.device)
        self.job = job
        self.model = PeerGPT(job.shape)
        weights = np.random.default_rng((job.seed, 0, WEIGHTS))
        copy_weights(build(job.shape, weights), self.model)
        self.model.to(self.device)
        parameters = list(self.model.parameters())
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
        batch = torch.from_numpy(self.job.batch(step).astype(np.int64))
        batch = batch.to(self.device)
        loss = self.loss(batch[:, :-1], batch[:, 1:])
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

    def memory(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return family_bytes()


class PeerGPT(nn.Module):
    """minillm's GPT out of PyTorch's parts."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        width = config.d_model
        self.tokens = nn.Embedding(config.vocab_size, width)
        self.positions = nn.Parameter(torch.empty(config.context, width))
        self.blocks = nn.ModuleList(PeerBlock(config) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.tokens.weight

    def loss(self, ids, targets):
        x = self.tokens(ids) + self.positions[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def decode(self, ids, cache, position: int):
        x = self.tokens(ids) + self.positions[position : position + 1]
        for block, (keys, values) in zip(self.blocks, cache, strict=True):
            x = block.decode(x, keys, values, position)
        return self.head(self.norm(x[:, -1]))

    def new_cache(self, n_sequences: int, device) -> list:
        config = self.config
        width = head_width(config.d_model, config.n_heads)
        shape = (n_sequences, config.n_heads, config.context, width)
        return [
            (torch.zeros(shape, device=device), torch.zeros(shape, device=device))
            for _ in self.blocks
        ]


class PeerBlock(nn.Module):
    """Pre-norm: x + attention(norm(x)), then x + feed_forward(norm(x))."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        width = config.d_model
        self.n_heads = config.n_heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, config.feed_forward_width)
        self.down = nn.Linear(config.feed_forward_width, width)

    def forward(self, x):
        q, k, v = self._heads(self.norm1(x))
        return self._finish(x, F.scaled_dot_product_attention(q, k, v, is_causal=True))

    def decode(self, x, keys, values, position: int):
        q, k, v = self._heads(self.norm1(x))
        end = position + 1
        keys[:, :, position:end] = k
        values[:, :, position:end] = v
        y = F.scaled_dot_product_attention(q, keys[:, :, :end], values[:, :, :end])
        return self._finish(x, y)

    def _heads(self, x):
        batch, length, width = x.shape
        split = (batch, length, self.n_heads, head_width(width, self.n_heads))
        parts = self.qkv(x).split(width, dim=2)
        return [part.view(split).transpose(1, 2) for part in parts]

    def _finish(self, x, y):
        x = x + self.out(y.transpose(1, 2).reshape(x.shape))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


@torch.no_grad()
def copy_weights(model, peer: PeerGPT) -> None:
    """Give the peer our weights; its linear maps hold theirs transposed."""
    theirs = dict(peer.named_parameters())
    for name, p in model.named_parameters():
        name = name.replace("attention.", "").replace("feed_forward.", "")
        name = name.replace(".gain", ".weight")
        values = torch.from_numpy(p.numpy().copy())
        if name == "head":
            name = "head.weight"
        elif name.startswith("blocks") and p.ndim == 2:
            values = values.T
        theirs[name].copy_(values)
