"""Tokenizers: text to ids and back, by subwords, by bytes or by characters."""

from minillm.text.tokenizer.base import Tokenizer
from minillm.text.tokenizer.bpe import BpeTokenizer
from minillm.text.tokenizer.characters import UNKNOWN, ByteTokenizer, CharTokenizer
from minillm.text.tokenizer.load import load_tokenizer
from minillm.text.tokenizer.train import train_tokenizer
from minillm.text.tokenizer.wordpiece import WordPieceTokenizer

__all__ = [
    "UNKNOWN",
    "BpeTokenizer",
    "ByteTokenizer",
    "CharTokenizer",
    "Tokenizer",
    "WordPieceTokenizer",
    "load_tokenizer",
    "train_tokenizer",
]
