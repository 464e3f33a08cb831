"""Layers: plain objects whose `__call__` is the formula."""

from minillm.nn.attention import (
    CrossAttention,
    DecoderCache,
    KeyValueCache,
    MultiHeadAttention,
)
from minillm.nn.block import Block, DecoderBlock
from minillm.nn.init import Initializer
from minillm.nn.layers import Embedding, FeedForward, LayerNorm, Linear
from minillm.nn.module import Module
from minillm.nn.noise import Noise, drop
from minillm.nn.recurrent import LSTM, LSTMState, RecurrentBlock

__all__ = [
    "LSTM",
    "Block",
    "CrossAttention",
    "DecoderBlock",
    "DecoderCache",
    "Embedding",
    "FeedForward",
    "Initializer",
    "KeyValueCache",
    "LSTMState",
    "LayerNorm",
    "Linear",
    "Module",
    "MultiHeadAttention",
    "Noise",
    "RecurrentBlock",
    "drop",
]
