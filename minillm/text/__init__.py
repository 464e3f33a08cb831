"""Text in, integer batches out: corpora, tokenizers, windows, objectives."""

from minillm.text.batch import IGNORED, Batch
from minillm.text.corpus import Corpus, load_corpus
from minillm.text.examples import Windows, validation_windows
from minillm.text.generated import generated
from minillm.text.objectives import MASK, OBJECTIVES, causal, masked
from minillm.text.table import Table, load_table
from minillm.text.tokenizer import Tokenizer, load_tokenizer, train_tokenizer

__all__ = [
    "IGNORED",
    "MASK",
    "OBJECTIVES",
    "Batch",
    "Corpus",
    "Table",
    "Tokenizer",
    "Windows",
    "causal",
    "generated",
    "load_corpus",
    "load_table",
    "load_tokenizer",
    "masked",
    "train_tokenizer",
    "validation_windows",
]
