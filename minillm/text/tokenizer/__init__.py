"""Tokenizers: text to ids and back, by subwords, by bytes or by characters."""

from minillm.lazy import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "base": ["Tokenizer"],
        "bpe": ["BpeTokenizer"],
        "characters": ["UNKNOWN", "ByteTokenizer", "CharTokenizer"],
        "load": ["load_tokenizer"],
        "merges": ["load_bpe"],
        "train": ["train_tokenizer"],
        "wordpiece": ["WordPieceTokenizer"],
    },
)
