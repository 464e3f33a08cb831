"""What encoders have in common: they see both sides, and restore masked tokens.

Devlin et al. 2019: 15 % of a text's tokens are to be restored.
"""

import numpy as np

from minillm import backend
from minillm.errors import UsageError
from minillm.models.language_model import LanguageModel, few_targets
from minillm.nn import Block, LayerNorm, Noise, RMSNorm, normed, to_key_mask
from minillm.ops import embedding
from minillm.tensor import Tensor
from minillm.text import MASKED_SHARE


class MaskedModel(LanguageModel):
    """An encoder that learns from hidden words. Its last feed-forward looks at each
    position by itself: where nothing is asked, it is not computed."""

    predicted_share = MASKED_SHARE

    blocks: list[Block]
    norm: LayerNorm | RMSNorm | None

    def through_blocks(
        self, x: Tensor, mask=None, noise: Noise | None = None, rows=None
    ) -> Tensor:
        """The blocks and the last norm.   (B, T, D) -> (B, T, D)

        `mask` (B, T) is False where a token is padding, which nothing may look at.
        `rows` (N,) are those of all B·T positions that are asked for: -> (N, D). Raises
        UsageError for rows with noise: dropout is drawn for whole batches.
        """
        if rows is not None and noise is not None:
            raise UsageError("rows of the last layer are for a model without dropout")
        key_mask = to_key_mask(mask)  # (B, 1, 1, T)
        *blocks, last = self.blocks
        for block in blocks:
            x = block(x, key_mask, noise)  # (B, T, D)
        if rows is None:
            return normed(last(x, key_mask, noise), self.norm)
        # The last block, taken apart: attention of all, feed-forward of the rows.
        x = last.around(lambda h: last.attention(h, key_mask), x, last.norm1)
        x = embedding(x.reshape(-1, x.shape[-1]), ids=rows)  # (N, D)
        return normed(last.around(last.feed_forward, x, last.norm2), self.norm)

    def read(self, batch, noise: Noise | None = None, rows=None) -> Tensor:
        """What the last layer makes of each position: (B, T, D), or of these `rows` of
        all: (N, D)."""
        return self.hidden(batch.ids, mask=batch.mask, noise=noise, rows=rows)

    def loss(self, batch, noise: Noise | None = None) -> Tensor:
        """As every model's. Without dropout, where few tokens are to be predicted, the
        last layer is asked for those alone, and for the first position of each text, of
        which a label is predicted."""
        kept = None if batch.targets is None else few_targets(batch)
        if kept is None or noise is not None:
            return super().loss(batch, noise)
        targets = backend.current().asarray(batch.targets.reshape(-1)[kept])
        if batch.labels is None:
            x = self.read(batch, rows=kept)
            return self._prediction_loss(x, targets, batch.n_targets)
        firsts = np.arange(0, batch.ids.size, batch.ids.shape[1])
        x = self.read(batch, rows=np.concatenate([kept, firsts]))
        tokens, first = x[: kept.size], x[kept.size :]
        of_tokens = self._prediction_loss(tokens, targets, batch.n_targets)
        return of_tokens + self._label_loss(first.reshape(len(firsts), 1, -1), batch)
