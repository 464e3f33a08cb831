"""The base class of all models: how a batch is read, and the loss."""

import numpy as np

from minillm import backend, nn  # opened when used: nn.Columns
from minillm.errors import UsageError
from minillm.nn import Embedding, Initializer, ModelConfig, Module, add_positions
from minillm.ops import IGNORED, cross_entropy, embedding, linear, linear_cross_entropy
from minillm.tensor import Tensor


class LanguageModel(Module):
    """Reads sequences; predicts their tokens and, where it has classes, a label of each
    sequence.

    An architecture says what its last layer makes of token ids (`hidden`). Raises
    UsageError for ids outside the vocabulary and for sequences longer than the context.
    """

    continues_text = False  # whether it has `new_cache` and `decode`
    n_classes = 0
    output_parts = ("head",)  # what nothing but the prediction of tokens needs
    sequence_parts = ()  # what runs once for a sequence, not once for a token
    predicted_share = 1.0  # of the positions, those whose token is to be predicted

    config: ModelConfig
    tokens: Embedding
    positions: Tensor  # (context, D)
    head: Tensor  # (V, D)

    def token_head(self, init: Initializer) -> Tensor:
        """The output matrix, one row a token: the embedding table itself if `tied`,
        else a table of its own.   (V, D)"""
        if self.config.tied:
            return self.tokens.weight
        return init.output_table(self.config.vocab_size, self.config.d_model)

    def embed(self, ids, columns: "nn.Columns | None" = None) -> Tensor:
        """Token vectors plus position vectors: those of the next columns of a cache,
        else the first ones.   ids (B, T) -> (B, T, D)"""
        return add_positions(self.tokens(ids), self.positions, columns)

    def __call__(self, ids, **settings) -> Tensor:
        """Logits.   ids (B, T) -> (B, T, V). `settings` are those of `hidden`."""
        return self.project(self.hidden(ids, **settings))

    def read(self, batch, noise: "nn.Noise | None" = None) -> Tensor:
        """What the last layer makes of each position.   -> (B, T, D)"""
        return self.hidden(batch.ids, mask=batch.mask, noise=noise)

    def project(self, x: Tensor) -> Tensor:
        """Logits of the tokens.   (..., D) -> (..., V)"""
        return linear(x, self.head.T, None)

    def pooled(self, x: Tensor, mask=None) -> Tensor:
        """One vector for each sequence: that of its last real token, which has seen all
        others (Radford et al. 2018, section 3.2).   (B, T, D), mask (B, T) -> (B, D)"""
        return nn.last_tokens(x, mask)

    def label_logits(self, x: Tensor, batch, noise: "nn.Noise | None" = None) -> Tensor:
        """Logits of the classes, from what `read` made.   (B, T, D) -> (B, C)"""
        raise UsageError(
            f"a model of arch {self.config.arch} predicts tokens and no labels: "
            f"n_classes makes a classifier of it"
        )

    def loss(self, batch, noise: "nn.Noise | None" = None) -> Tensor:
        """Cross-entropy in nats: of the tokens, per kept target of the whole batch,
        plus that of the labels, per label of it, where the batch has them."""
        x = self.read(batch, noise)
        if batch.labels is None:
            return self._token_loss(x, batch)
        if batch.targets is None:
            return self._label_loss(x, batch, noise)
        return self._token_loss(x, batch) + self._label_loss(x, batch, noise)

    def _token_loss(self, x: Tensor, batch) -> Tensor:
        targets, kept = batch.targets, few_targets(batch)
        if kept is not None:
            x = embedding(x.reshape(-1, x.shape[-1]), ids=kept)
            targets = targets.reshape(-1)[kept]
        targets = backend.current().asarray(targets)
        return self._prediction_loss(x, targets, batch.n_targets)

    def _prediction_loss(self, x: Tensor, targets, n_targets: int) -> Tensor:
        return linear_cross_entropy(x, self.head, targets=targets, n_targets=n_targets)

    def _label_loss(self, x: Tensor, batch, noise: "nn.Noise | None" = None) -> Tensor:
        logits = self.label_logits(x, batch, noise)
        labels = backend.current().asarray(batch.labels)
        return cross_entropy(logits, targets=labels, n_targets=batch.n_labels)

    def for_rows(self, rows) -> "LanguageModel":
        """The model for these rows of a batch: itself, unless it was given a source for
        each row (`EncoderDecoder.conditioned`). `Decoder` calls it where it goes on
        with some of its sequences."""
        return self

    def checked(self, ids, begin: int = 0) -> np.ndarray:
        """Token ids on the host, all of them in the vocabulary; a GPU would wrap others
        silently. `begin` tokens stand before them.
        """
        ids = np.asarray(ids)
        context, vocab_size = self.config.context, self.config.vocab_size
        if begin + ids.shape[-1] > context:
            raise UsageError(
                f"a sequence of {begin + ids.shape[-1]} tokens is longer than the "
                f"model's context of {context}"
            )
        if ids.size and not 0 <= ids.min() <= ids.max() < vocab_size:
            bad = ids.max() if ids.max() >= vocab_size else ids.min()
            raise UsageError(
                f"token id {bad} is outside the vocabulary of {vocab_size}: "
                f"was this text encoded with another tokenizer?"
            )
        return ids


def few_targets(batch) -> np.ndarray | None:
    """The positions that have a target, of all B·T of a batch, where these are fewer
    than half: in a masked model, or after a prompt; else None. Counted on the host: no
    device is asked.   -> (N,)"""
    kept = np.flatnonzero(batch.targets != IGNORED)
    return kept if 2 * kept.size < batch.targets.size else None
