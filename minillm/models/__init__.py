"""Models: an architecture is a short file that arranges the layers of `nn`."""

import numpy as np

from minillm.models.config import SIZES, ModelConfig, size
from minillm.models.encoder import Encoder
from minillm.models.gpt import GPT
from minillm.models.language_model import LanguageModel
from minillm.models.lstm import LSTMModel

__all__ = [
    "GPT",
    "SIZES",
    "Encoder",
    "LSTMModel",
    "LanguageModel",
    "ModelConfig",
    "build",
    "size",
]

_CLASSES = {"gpt": GPT, "encoder": Encoder, "lstm": LSTMModel}


def build(config: ModelConfig, rng: np.random.Generator, dtype=np.float32):
    """The model a configuration describes, its weights drawn from `rng`."""
    return _CLASSES[config.arch](config, rng, dtype)
