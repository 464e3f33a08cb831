"""A bidirectional encoder: GPT's blocks without the causal mask.

Every position sees the whole sequence, so the model cannot be trained to predict the
next token; it learns to restore masked ones (Devlin et al. 2019).
"""

from minillm.errors import UsageError
from minillm.models.gpt import GPT


class Encoder(GPT):
    """Position t sees every token: it can fill a gap and cannot continue a text."""

    causal = False

    def decode(self, ids, cache):
        raise UsageError(
            "a masked model cannot continue a text: a later token would change what it "
            "made of the earlier ones"
        )
