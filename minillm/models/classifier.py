"""A classifier: a model's body, and a linear map from one vector a sequence to classes.

Radford et al. 2018, section 3.2; Devlin et al. 2019, section 4.1.
"""

import numpy as np

from minillm.errors import UsageError
from minillm.models.language_model import LanguageModel
from minillm.nn import Embedding, Initializer, Linear, Noise, drop
from minillm.tensor import Tensor


class Classifier(LanguageModel):
    """Predicts which of `config.n_classes` classes a sequence belongs to.

    `body` is the model of the same configuration without what predicts tokens: its
    parameters have the names of that model's, so that its weights can be taken over.
    The vector of a sequence is the body's to choose (`pooled`).
    """

    output_parts = ()
    sequence_parts = (*LanguageModel.sequence_parts, "pooler", "classes")

    def __init__(self, body: LanguageModel, rng: np.random.Generator):
        self.config = body.config
        self.n_classes = body.config.n_classes
        self.body = body
        for name in body.output_parts:
            delattr(body, name)
        init = Initializer.from_config(body.config, rng, body.tokens.weight.dtype)
        self.classes = Linear(
            body.config.d_model, self.n_classes, init=init, bias=body.config.bias
        )

    @property
    def tokens(self) -> Embedding:
        return self.body.tokens

    def hidden(self, ids, **settings) -> Tensor:
        """What the body's last layer makes of each token.   ids (B, T) -> (B, T, D)"""
        return self.body.hidden(ids, **settings)

    def read(self, batch, noise: Noise | None = None) -> Tensor:
        return self.body.read(batch, noise)

    def project(self, x: Tensor) -> Tensor:
        raise UsageError("a classifier predicts labels and no tokens")

    def label_logits(self, x: Tensor, batch, noise: Noise | None = None) -> Tensor:
        """Logits of the classes, from what `read` made.   (B, T, D) -> (B, C)"""
        return self.classes(drop(self.body.pooled(x, batch.mask), noise))

    def loss(self, batch, noise: Noise | None = None) -> Tensor:
        """Cross-entropy in nats per label of the whole batch."""
        if batch.labels is None:
            raise UsageError("a classifier learns from labels: this batch has none")
        return self._label_loss(self.read(batch, noise), batch, noise)
