"""Layers: plain objects whose `__call__` is the formula."""

from minillm.lazy import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "attention": ["MultiHeadAttention", "to_key_mask"],
        "block": ["Block", "last_norm", "normed"],
        "cache": [
            "Columns",
            "DecoderCache",
            "KeyValueCache",
            "LSTMState",
            "cached_attention",
        ],
        "config": ["ModelConfig"],
        "cross_attention": ["CrossAttention"],
        "decoder_block": ["DecoderBlock"],
        "blank": ["Blank", "Shapes"],
        "init": ["Initializer"],
        "layers": [
            "Embedding",
            "FeedForward",
            "LayerNorm",
            "Linear",
            "drop",
            "gelu_form",
            "new_norm",
        ],
        "module": ["Module"],
        "noise": ["Noise"],
        "pooling": ["last_tokens"],
        "positions": ["add_positions", "position_table"],
        "rotary": ["normed_and_turned"],
        "rms_norm": ["RMSNorm"],
        "recurrent": ["LSTM", "RecurrentBlock"],
        "seeds": ["by_seed", "seed"],
    },
)
