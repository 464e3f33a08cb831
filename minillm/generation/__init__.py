"""Generation: what a trained model writes, and what it puts into gaps."""

from minillm.generation.continuation import draw_tokens, generate, stream
from minillm.generation.decoder import Decoder
from minillm.generation.sampling import Sampling
from minillm.generation.text_stream import TextStream

__all__ = [
    "Decoder",
    "Sampling",
    "TextStream",
    "draw_tokens",
    "generate",
    "stream",
]
