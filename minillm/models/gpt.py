"""GPT: token and position embeddings, transformer blocks, a projection to the tokens.

Radford et al. 2018 and 2019. Pre-norm and learned positions unless the configuration
says otherwise; the output is tied to the token table where it says `tied`.
"""

import math

import numpy as np

from minillm import backend
from minillm.errors import UsageError
from minillm.models.config import ModelConfig
from minillm.nn import (
    Block,
    Embedding,
    Initializer,
    KeyValueCache,
    LayerNorm,
    Module,
    Noise,
    drop,
)
from minillm.ops import linear_cross_entropy
from minillm.tensor import Tensor, no_grad


class GPT(Module):
    """A decoder-only language model: position t sees the tokens up to t.

    Raises UsageError for token ids outside the vocabulary and for sequences longer than
    the context.
    """

    causal = True

    def __init__(self, config: ModelConfig, rng: np.random.Generator, dtype=np.float32):
        self.config = config
        width = config.d_model
        init = Initializer(
            rng,
            config.init,
            n_layers=config.n_layers,
            embedding_sd=config.embedding_sd,
            dtype=dtype,
        )
        self.tokens = Embedding(config.vocab_size, width, init=init)
        if config.positions == "learned":
            self.positions = Embedding(config.context, width, init=init).weight
        else:
            self.positions = Tensor(sinusoids(config.context, width).astype(dtype))
        self.blocks = [
            Block(
                width,
                config.n_heads,
                config.feed_forward_width,
                init=init,
                causal=self.causal,
                bias=config.bias,
                norm=config.norm,
            )
            for _ in range(config.n_layers)
        ]
        self.norm = LayerNorm(width, init=init, bias=config.bias)
        # (V, D); tied: what a token looks like is also what predicts it
        if config.tied:
            self.head = self.tokens.weight
        else:
            self.head = init.output_table(config.vocab_size, width)

    def hidden(self, ids, *, mask=None, noise: Noise | None = None) -> Tensor:
        """What the last layer makes of each token.   ids (B, T) -> (B, T, D)

        `mask` (B, T) is False where a token is padding, which nothing may look at.
        """
        ids = self._on_device(ids)
        x = self.tokens(ids) + self.positions[: ids.shape[1]]
        x = drop(x, noise)
        if mask is not None:
            # (B, T) -> (B, 1, 1, T): for every head and query, which keys it may see
            mask = backend.current().asarray(mask)[:, None, None, :]
        for block in self.blocks:
            x = block(x, mask, noise)
        return self.norm(x)

    def __call__(self, ids, *, mask=None) -> Tensor:
        """Logits.   ids (B, T) -> (B, T, V)"""
        return self.hidden(ids, mask=mask) @ self.head.T

    def loss(self, batch, noise: Noise | None = None) -> Tensor:
        """The batch's cross-entropy in nats per kept target of the whole batch."""
        x = self.hidden(batch.ids, mask=batch.mask, noise=noise)
        targets = backend.current().asarray(batch.targets)
        return linear_cross_entropy(
            x, self.head, targets=targets, n_targets=batch.n_targets
        )

    def new_cache(self, n_sequences: int, padding=None) -> list[KeyValueCache]:
        """One empty cache for each layer, with room for a whole context.

        `padding` (B,) counts the columns to the left of each sequence's first token,
        where sequences differ in length.
        """
        config = self.config
        head_width = config.d_model // config.n_heads
        return [
            KeyValueCache(
                n_sequences,
                config.n_heads,
                config.context,
                head_width,
                self.head.dtype,
                padding,
            )
            for _ in self.blocks
        ]

    def decode(self, ids, cache: list[KeyValueCache]) -> np.ndarray:
        """Logits after the last of these tokens, which follow those in the cache.

        ids (B, t) -> (B, V), on the host
        """
        begin = cache[0].length
        ids = self._on_device(ids, begin)
        with no_grad():
            x = self.tokens(ids) + self._positions(
                begin, ids.shape[1], cache[0].padding
            )
            for block, layer_cache in zip(self.blocks, cache, strict=True):
                x = block.decode(x, layer_cache)
            logits = self.norm(x[:, -1]) @ self.head.T
        return logits.numpy()

    def _positions(self, begin: int, length: int, padding) -> Tensor:
        """The vectors of the next positions.   -> (T, D), or (B, T, D) with padding"""
        if padding is None:
            return self.positions[begin : begin + length]
        columns = np.arange(begin, begin + length)
        index = np.maximum(columns - padding[:, None], 0)
        return self.positions[backend.current().asarray(index)]

    def _on_device(self, ids, begin: int = 0):
        ids = np.asarray(ids)  # checked on the host: CuPy wraps a bad index silently
        config = self.config
        if begin + ids.shape[-1] > config.context:
            raise UsageError(
                f"a sequence of {begin + ids.shape[-1]} tokens is longer than the "
                f"model's context of {config.context}"
            )
        if ids.size and not 0 <= ids.min() <= ids.max() < config.vocab_size:
            bad = ids.max() if ids.max() >= config.vocab_size else ids.min()
            raise UsageError(
                f"token id {bad} is outside the vocabulary of {config.vocab_size}: "
                f"was this text encoded with another tokenizer?"
            )
        return backend.current().asarray(ids)


def sinusoids(context: int, width: int) -> np.ndarray:
    """Fixed positions: sines and cosines of wavelengths 2π to 10000·2π (Vaswani et al.
    2017, section 3.5).   -> (context, width)"""
    frequency = np.exp(-math.log(10_000) * np.arange(0, width, 2) / width)
    angle = np.arange(context)[:, None] * frequency[None, :]
    table = np.empty((context, width))
    table[:, 0::2] = np.sin(angle)
    table[:, 1::2] = np.cos(angle)[:, : width // 2]
    return table
