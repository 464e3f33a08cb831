"""Generation: what a trained model writes, and what it puts into gaps."""

from minillm.generation.beams import Hypothesis, beam_search
from minillm.generation.continuation import draw_tokens, generate, stream
from minillm.generation.decoder import Decoder
from minillm.generation.dialogue import Dialogue
from minillm.generation.fill import Candidate, fill
from minillm.generation.prompt import reads_source, unseen
from minillm.generation.sampling import Sampling
from minillm.generation.text_stream import TextStream

__all__ = [
    "Candidate",
    "Decoder",
    "Dialogue",
    "Hypothesis",
    "Sampling",
    "TextStream",
    "beam_search",
    "draw_tokens",
    "fill",
    "generate",
    "reads_source",
    "stream",
    "unseen",
]
