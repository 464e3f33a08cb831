"""Layers: plain objects whose `__call__` is the formula."""

from minillm.lazy import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "attention": ["CrossAttention", "MultiHeadAttention", "to_key_mask"],
        "block": ["Block", "DecoderBlock", "last_norm", "normed"],
        "cache": [
            "Columns",
            "DecoderCache",
            "KeyValueCache",
            "LSTMState",
            "cached_attention",
        ],
        "config": ["ModelConfig"],
        "init": ["Initializer", "seed"],
        "layers": [
            "Embedding",
            "FeedForward",
            "LayerNorm",
            "Linear",
            "Noise",
            "RMSNorm",
            "drop",
            "new_norm",
        ],
        "module": ["Module"],
        "positions": ["add_positions", "position_table"],
        "recurrent": ["LSTM", "RecurrentBlock"],
    },
)
