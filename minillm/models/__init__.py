"""Models: an architecture is a short file that arranges the layers of `nn`."""

import numpy as np

from minillm.models.bert import Bert
from minillm.models.classifier import Classifier
from minillm.models.config import SIZES, ModelConfig, size, usual
from minillm.models.encdec import EncoderDecoder
from minillm.models.encoder import Encoder
from minillm.models.gpt import GPT
from minillm.models.language_model import LanguageModel
from minillm.models.lstm import LSTMModel

__all__ = [
    "GPT",
    "SIZES",
    "Bert",
    "Classifier",
    "Encoder",
    "EncoderDecoder",
    "LSTMModel",
    "LanguageModel",
    "ModelConfig",
    "build",
    "continues_text",
    "size",
    "usual",
]

_CLASSES = {
    "gpt": GPT,
    "encoder": Encoder,
    "lstm": LSTMModel,
    "bert": Bert,
    "encdec": EncoderDecoder,
}


def continues_text(arch: str) -> bool:
    """Whether models of an architecture can write, token by token."""
    return _CLASSES[arch].continues_text


def build(config: ModelConfig, rng: np.random.Generator, dtype=np.float32):
    """The model a configuration describes, its weights drawn from `rng`."""
    model = _CLASSES[config.arch](config, rng, dtype)
    return Classifier(model, rng) if config.n_classes else model
