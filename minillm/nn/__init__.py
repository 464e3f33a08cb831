"""Layers: plain objects whose `__call__` is the formula."""

from minillm.nn.attention import CrossAttention, MultiHeadAttention, to_key_mask
from minillm.nn.block import Block, DecoderBlock
from minillm.nn.cache import DecoderCache, KeyValueCache, LSTMState
from minillm.nn.config import ModelConfig
from minillm.nn.init import Initializer
from minillm.nn.layers import Embedding, FeedForward, LayerNorm, Linear
from minillm.nn.module import Module
from minillm.nn.noise import Noise, drop
from minillm.nn.positions import position_table, position_vectors
from minillm.nn.recurrent import LSTM, RecurrentBlock
from minillm.nn.residual import last_norm, new_norm, normed

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
    "ModelConfig",
    "Module",
    "MultiHeadAttention",
    "Noise",
    "RecurrentBlock",
    "drop",
    "last_norm",
    "new_norm",
    "normed",
    "position_table",
    "position_vectors",
    "to_key_mask",
]
