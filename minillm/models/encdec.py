"""The encoder–decoder: one text is read, another is written.

Vaswani et al. 2017, "the transformer". One token table serves source, target and
output; as the paper has it, with sinusoidal positions and post-norm blocks.
"""

import math
from collections.abc import Iterator

import numpy as np

from minillm import backend, nn  # nn.Columns: a file for decoding alone
from minillm.errors import UsageError
from minillm.models.language_model import LanguageModel
from minillm.nn import (
    Block,
    DecoderBlock,
    DecoderCache,
    Embedding,
    Initializer,
    ModelConfig,
    Module,
    Noise,
    add_positions,
    drop,
    last_norm,
    normed,
    position_table,
    to_key_mask,
)
from minillm.tensor import Tensor, no_grad


class EncoderDecoder(LanguageModel):
    """Position t of the target sees the target up to t, and all of the source.

    It continues a text once it has read a source: see `conditioned`.
    """

    def __init__(self, config: ModelConfig, rng: np.random.Generator, dtype=np.float32):
        self.config = config
        width = config.d_model
        # As rows of the output, tokens N(0, 1/D) give logits of variance 1; as inputs,
        # times √D, they are about as large as the sines they are added to.
        init = Initializer.from_config(
            config, rng, dtype, embedding_sd=1 / math.sqrt(width)
        )
        self.tokens = Embedding(config.vocab_size, width, init=init)
        self.positions = position_table(config, init)
        layers = range(config.n_layers)
        self.encoder = [Block(config, init, causal=False) for _ in layers]
        self.encoder_norm = last_norm(config, init)
        self.decoder = [DecoderBlock(config, init, causal=True) for _ in layers]
        self.decoder_norm = last_norm(config, init)
        self.head = self.token_head(init)

    def embed(self, ids, columns: "nn.Columns | None" = None) -> Tensor:
        """Token vectors (times √D: section 3.4) plus position vectors."""
        x = self.tokens(ids) * math.sqrt(self.config.d_model)
        return add_positions(x, self.positions, columns)

    def encode(self, source, *, mask=None, noise: Noise | None = None) -> Tensor:
        """What the encoder makes of each token of a source.   (B, S) -> (B, S, D)

        `mask` (B, S) is False at padding, which nothing may look at. Raises UsageError
        for a source of no tokens.
        """
        source = self.checked(source)
        if source.shape[1] == 0:
            raise UsageError("an empty source: there is nothing to read")
        x = drop(self.embed(source), noise)
        key_mask = to_key_mask(mask)
        for block in self.encoder:
            x = block(x, key_mask, noise)
        return normed(x, self.encoder_norm)

    def hidden(
        self,
        ids,
        memory: Tensor,
        *,
        mask=None,
        memory_mask=None,
        noise: Noise | None = None,
    ) -> Tensor:
        """What the decoder makes of each token of a target.   ids (B, T) -> (B, T, D)

        `memory` (B, S, D) is what `encode` made of the source, `memory_mask` (B, S) the
        source's mask; `mask` (B, T) the target's.
        """
        x = drop(self.embed(self.checked(ids)), noise)
        key_mask, memory_key_mask = to_key_mask(mask), to_key_mask(memory_mask)
        for block in self.decoder:
            x = block(x, memory, key_mask, memory_key_mask, noise)
        return normed(x, self.decoder_norm)

    def read(self, batch, noise: Noise | None = None) -> Tensor:
        """What the decoder makes of each position of `batch.ids`, with `batch.source`
        before it.   -> (B, T, D)"""
        if batch.source is None:
            raise UsageError("arch encdec needs a source to read: this batch has none")
        memory = self.encode(batch.source, mask=batch.source_mask, noise=noise)
        return self.hidden(
            batch.ids,
            memory,
            mask=batch.mask,
            memory_mask=batch.source_mask,
            noise=noise,
        )

    def __call__(self, ids, source, *, mask=None, source_mask=None) -> Tensor:
        """Logits.   ids (B, T), source (B, S) -> (B, T, V)"""
        memory = self.encode(source, mask=source_mask)
        return self.project(
            self.hidden(ids, memory, mask=mask, memory_mask=source_mask)
        )

    def conditioned(self, source, source_mask=None) -> "Conditioned":
        """The causal model of what follows these sources, read once.   source (B, S)"""
        with no_grad():
            memory = self.encode(source, mask=source_mask)
        return Conditioned(self, memory, source_mask)


class Conditioned:
    """An encoder–decoder that has read a source for each row of a batch: a causal model
    of the targets, as `generation/` wants one.

    `memory` (B, S, D) is what was read, `memory_mask` (B, S), on the host, its padding.
    """

    continues_text = True

    def __init__(self, model: EncoderDecoder, memory: Tensor, memory_mask=None):
        self.model = model
        self.config = model.config
        self.memory = memory
        self.memory_mask = memory_mask

    def modules(self) -> Iterator[Module]:
        return self.model.modules()

    def for_rows(self, rows) -> "Conditioned":
        """The model for these rows, in this order; one may be there several times."""
        memory = Tensor(self.memory.data[backend.xp.asarray(rows)])
        mask = self.memory_mask
        return Conditioned(self.model, memory, None if mask is None else mask[rows])

    def __call__(self, ids) -> Tensor:
        """Logits.   ids (B, T) -> (B, T, V)"""
        x = self.model.hidden(ids, self.memory, memory_mask=self.memory_mask)
        return self.model.project(x)

    def new_cache(self, n_sequences: int, padding=None) -> list[DecoderCache]:
        """One cache for each layer, with room for a whole context: of what is written,
        none yet, and of the sources, everything. `padding`: see `GPT.new_cache`."""
        if n_sequences != len(self.memory):
            raise UsageError(
                f"a cache for {n_sequences} sequences and {len(self.memory)} sources"
            )
        room, key_mask = self.config.context, to_key_mask(self.memory_mask)
        with no_grad():
            return [
                block.new_cache(self.memory, room, key_mask, padding)
                for block in self.model.decoder
            ]

    def decode(self, ids, cache: list[DecoderCache]) -> np.ndarray:
        """Logits after the last of these tokens, which follow those in the cache.

        ids (B, t) -> (B, V), on the host
        """
        model = self.model
        ids = model.checked(ids, cache[0].length)
        columns = nn.Columns(cache[0], ids.shape[1])
        with no_grad():
            x = model.embed(ids, columns)
            for block, layer_cache in zip(model.decoder, cache, strict=True):
                x = block.decode(x, layer_cache, columns)
            logits = model.project(normed(x[:, -1], model.decoder_norm))
        return logits.numpy()
