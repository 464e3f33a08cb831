"""Layers: plain objects whose `__call__` is the formula."""

from minillm.nn.attention import KeyValueCache, MultiHeadAttention
from minillm.nn.block import Block
from minillm.nn.init import Initializer
from minillm.nn.layers import Embedding, FeedForward, LayerNorm, Linear
from minillm.nn.module import Module
from minillm.nn.noise import Noise, drop
from minillm.nn.recurrent import LSTM, LSTMState, RecurrentBlock

__all__ = [
    "LSTM",
    "Block",
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
