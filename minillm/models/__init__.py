"""Models: an architecture is one page that arranges the layers of `nn`, and one row in
the table of `architectures.py`."""

from minillm.models.architectures import (
    ARCHITECTURES,
    architectures_for,
    build,
    continues_text,
    usual,
)
from minillm.models.bert import Bert
from minillm.models.classifier import Classifier
from minillm.models.encdec import EncoderDecoder
from minillm.models.encoder import Encoder
from minillm.models.gpt import GPT
from minillm.models.language_model import LanguageModel
from minillm.models.lstm import LSTMModel
from minillm.models.sizes import SIZES, size
from minillm.nn.config import ModelConfig

__all__ = [
    "ARCHITECTURES",
    "GPT",
    "SIZES",
    "Bert",
    "Classifier",
    "Encoder",
    "EncoderDecoder",
    "LSTMModel",
    "LanguageModel",
    "ModelConfig",
    "architectures_for",
    "build",
    "continues_text",
    "size",
    "usual",
]
