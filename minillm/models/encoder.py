"""A bidirectional encoder: GPT's blocks without the causal mask.

Every position sees the whole sequence, so the model cannot be trained to predict the
next token; it learns to restore masked ones (Devlin et al. 2019).
"""

from minillm.models.gpt import GPT


class Encoder(GPT):
    causal = False
