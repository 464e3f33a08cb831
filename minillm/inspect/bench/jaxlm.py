"""The same model in JAX, one compiled step, for `bench --against jax`."""

import contextlib
import math

import jax
import jax.numpy as jnp
import numpy as np

from minillm.backend.memory import family_bytes, keep_freed_memory
from minillm.inspect.bench.contest import Job
from minillm.learning.config import WEIGHTS
from minillm.models import ModelConfig, build
from minillm.nn.config import head_width


class Contender(contextlib.ExitStack):
    """JAX with all the threads it takes by itself."""

    def __init__(self, _name: str, job: Job):
        super().__init__()
        keep_freed_memory()  # the same allocator settings for all
        self.job = job
        rng = np.random.default_rng((job.seed, 0, WEIGHTS))
        model = build(job.shape, rng)
        self.weights = {
            name: jnp.asarray(p.numpy()) for name, p in model.named_parameters()
        }
        self.m = {name: jnp.zeros_like(w) for name, w in self.weights.items()}
        self.v = {name: jnp.zeros_like(w) for name, w in self.weights.items()}
        self.update = jax.jit(_step(job), donate_argnums=(0, 1, 2))
        self.caches = None
        self.next = jax.jit(_decode(job.shape), donate_argnums=1)

    def train(self, step: int) -> float:
        batch = jnp.asarray(self.job.examples(step))
        self.weights, self.m, self.v, loss = self.update(
            self.weights, self.m, self.v, batch, step + 1
        )
        return float(loss)  # waits

    def decode(self, step: int) -> float:
        shape, n = self.job.shape, self.job.batches.shape[1]
        if self.caches is None or self.position == shape.context:
            width = head_width(shape.d_model, shape.n_heads)
            empty = (n, shape.n_heads, shape.context, width)
            self.caches = [
                (jnp.zeros(empty), jnp.zeros(empty)) for _ in range(shape.n_layers)
            ]
            self.position = 0
        tokens = np.full(n, step % shape.vocab_size)
        largest, self.caches = self.next(
            self.weights, self.caches, tokens, self.position
        )
        self.position += 1
        return float(largest)

    def memory(self) -> int:
        return family_bytes()


def _step(job: Job):
    """One step of AdamW, whose decay acts on matrices only."""
    beta1, beta2, eps = 0.9, 0.99, 1e-8

    def step(weights, m, v, batch, t):
        loss, grads = jax.value_and_grad(_loss)(weights, batch, job.shape)
        new_w, new_m, new_v = {}, {}, {}
        for name, g in grads.items():
            new_m[name] = beta1 * m[name] + (1 - beta1) * g
            new_v[name] = beta2 * v[name] + (1 - beta2) * g * g
            m_hat = new_m[name] / (1 - beta1**t)
            v_hat = new_v[name] / (1 - beta2**t)
            decay = job.weight_decay if g.ndim >= 2 else 0.0
            change = m_hat / (jnp.sqrt(v_hat) + eps) + decay * weights[name]
            new_w[name] = weights[name] - job.lr * change
        return new_w, new_m, new_v, loss

    return step


def _loss(weights, batch, shape: ModelConfig):
    ids, targets = batch[:, :-1], batch[:, 1:]
    x = weights["tokens.weight"][ids] + weights["positions"][: ids.shape[1]]
    visible = jnp.tril(jnp.ones((ids.shape[1], ids.shape[1]), bool))
    for i in range(shape.n_layers):
        w = _block(weights, i)
        q, k, v = _heads(_linear(_norm(x, w, "norm1"), w, "attention.qkv"), shape)
        scores = jnp.einsum("bthd,bshd->bhts", q, k) / math.sqrt(q.shape[-1])
        p = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf))
        x = _finish(x, jnp.einsum("bhts,bshd->bthd", p, v).reshape(x.shape), w)
    logits = _norm(x, weights, "norm") @ _head(weights).T
    log_p = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_p, targets[..., None], -1).mean()


def _decode(shape: ModelConfig):
    def step(weights, caches, tokens, position):
        x = weights["tokens.weight"][tokens] + weights["positions"][position]
        seen = jnp.arange(shape.context) <= position
        new = []
        for i, (keys, values) in enumerate(caches):
            w = _block(weights, i)
            q, k, v = _heads(_linear(_norm(x, w, "norm1"), w, "attention.qkv"), shape)
            keys = keys.at[:, :, position].set(k)
            values = values.at[:, :, position].set(v)
            scores = jnp.einsum("bhd,bhsd->bhs", q, keys) / math.sqrt(q.shape[-1])
            p = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf))
            x = _finish(x, jnp.einsum("bhs,bhsd->bhd", p, values).reshape(x.shape), w)
            new.append((keys, values))
        return (_norm(x, weights, "norm") @ _head(weights).T).max(), new

    return step


def _finish(x, y, w):
    x = x + _linear(y, w, "attention.out")
    hidden = _linear(_norm(x, w, "norm2"), w, "feed_forward.up")
    return x + _linear(jax.nn.gelu(hidden, approximate=True), w, "feed_forward.down")


def _block(weights: dict, i: int) -> dict:
    prefix = f"blocks.{i}."
    return {n[len(prefix) :]: w for n, w in weights.items() if n.startswith(prefix)}


def _head(weights: dict):
    return weights.get("head", weights["tokens.weight"])  # tied: the token table


def _heads(qkv, shape: ModelConfig):
    """(..., 3D) -> three of (..., H, D/H)."""
    width = head_width(shape.d_model, shape.n_heads)
    parts = jnp.split(qkv, 3, axis=-1)
    return [part.reshape(*part.shape[:-1], shape.n_heads, width) for part in parts]


def _linear(x, w: dict, name: str):
    return x @ w[f"{name}.weight"] + w[f"{name}.bias"]


def _norm(x, w: dict, name: str):
    centred = x - x.mean(-1, keepdims=True)
    unit = centred * jax.lax.rsqrt((centred * centred).mean(-1, keepdims=True) + 1e-5)
    return unit * w[f"{name}.gain"] + w[f"{name}.bias"]
