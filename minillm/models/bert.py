"""BERT: an encoder that learns from hidden words and from pairs of texts.

Devlin et al. 2019. Token, position and segment vectors are added up and normalised;
post-norm blocks see both sides, unless the configuration says pre-norm.
"""

import numpy as np

from minillm.errors import UsageError
from minillm.models.masked import MaskedModel
from minillm.nn import (
    Block,
    Embedding,
    Initializer,
    Linear,
    ModelConfig,
    Module,
    Noise,
    drop,
    gelu_form,
    last_norm,
    new_norm,
    position_table,
)
from minillm.ops import cross_entropy, gelu, linear
from minillm.tensor import Tensor


class Bert(MaskedModel):
    """Restores masked tokens, and tells whether a second text follows the first.

    Of the two classes, 0 says that it does. Raises UsageError for segments other than
    0 and 1.
    """

    n_classes = 2
    output_parts = ("head", "transform", "output_bias", "next_sentence")
    sequence_parts = ("pooler", "next_sentence")

    def __init__(self, config: ModelConfig, rng: np.random.Generator, dtype=np.float32):
        self.config = config
        width, bias = config.d_model, config.bias
        init = Initializer.from_config(config, rng, dtype)
        self.tokens = Embedding(config.vocab_size, width, init=init)
        self.positions = position_table(config, init)
        self.segments = Embedding(2, width, init=init)
        self.embedding_norm = new_norm(config, init)
        self.blocks = [
            Block(config, init, causal=False) for _ in range(config.n_layers)
        ]
        self.norm = last_norm(config, init)
        self.pooler = Linear(width, width, init=init, bias=bias)
        self.transform = Transform(config, init)
        self.head = self.token_head(init)
        self.output_bias = init.zeros(config.vocab_size) if bias else None
        self.next_sentence = Linear(width, self.n_classes, init=init, bias=bias)
        if config.encodes_sentences:
            for name in self.output_parts:
                delattr(self, name)

    def hidden(
        self, ids, *, segments=None, mask=None, noise: Noise | None = None, rows=None
    ) -> Tensor:
        """What the last layer makes of each token.   ids (B, T) -> (B, T, D)

        `segments` (B, T) tell a first text (0) from a second (1); None: all are of the
        first. `mask` (B, T) is False at padding. Of `rows` alone: (N, D); see
        `through_blocks`.
        """
        ids = self.checked(ids)
        x = self.embed(ids) + self._segment_vectors(segments, ids.shape)
        x = drop(self.embedding_norm(x), noise)
        return self.through_blocks(x, mask, noise, rows)

    def _segment_vectors(self, segments, shape: tuple) -> Tensor:
        if segments is None:
            return self.segments.weight[0]
        segments = np.asarray(segments)  # checked on the host, as token ids are
        if segments.shape != shape or not np.isin(segments, (0, 1)).all():
            raise UsageError(
                f"segments must be 0 or 1 for each of {shape} tokens, got "
                f"{np.unique(segments)[:5].tolist()} in shape {segments.shape}"
            )
        return self.segments(segments)

    def read(self, batch, noise: Noise | None = None, rows=None) -> Tensor:
        segments, mask = batch.segments, batch.mask
        return self.hidden(
            batch.ids, segments=segments, mask=mask, noise=noise, rows=rows
        )

    def project(self, x: Tensor) -> Tensor:
        """Logits of the tokens.   (..., D) -> (..., V)"""
        if self.config.encodes_sentences:
            raise UsageError(
                "a sentence encoder predicts no tokens, only vectors of texts"
            )
        return linear(self.transform(x), self.head.T, self.output_bias)

    def _prediction_loss(self, x: Tensor, targets, n_targets: int) -> Tensor:
        return cross_entropy(self.project(x), targets=targets, n_targets=n_targets)

    def pooled(self, x: Tensor, mask=None) -> Tensor:
        """What a layer of its own makes of the first position: (B, T, D) -> (B, D)"""
        return self.pooler(x[:, 0]).tanh()

    def label_logits(self, x: Tensor, batch, noise: Noise | None = None) -> Tensor:
        """Does the second text follow the first?   (B, T, D) -> (B, 2)"""
        return self.next_sentence(self.pooled(x))


class Transform(Module):
    """norm(GELU(x W + b)): what BERT puts before the output."""

    def __init__(self, config: ModelConfig, init: Initializer):
        width = config.d_model
        self.dense = Linear(width, width, init=init, bias=config.bias)
        self.norm = new_norm(config, init)
        self.form = gelu_form(config.activation)

    def __call__(self, x: Tensor) -> Tensor:  # (..., D) -> (..., D)
        return self.norm(gelu(self.dense(x), form=self.form))
