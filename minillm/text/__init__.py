"""Text in, integer batches out: corpora, tokenizers, examples, objectives."""

from minillm.text.batch import IGNORED, Batch
from minillm.text.corpus import Corpus, load_corpus
from minillm.text.documents import Documents, Passages, passages
from minillm.text.examples import Shuffled, Windows, spread, validation_windows
from minillm.text.generated import generated
from minillm.text.objectives import MASKED_SHARE, OBJECTIVES, causal, masked
from minillm.text.table import Table, load_table
from minillm.text.template import (
    BERT_TEMPLATE,
    BOS,
    CLS,
    EOS,
    MASK,
    PAD,
    PAIR_SPECIALS,
    SEP,
    SEQ2SEQ_SPECIALS,
    SEQ2SEQ_TEMPLATE,
    UNK,
    Framed,
    Template,
)
from minillm.text.tokenizer import Tokenizer, load_tokenizer, train_tokenizer

__all__ = [
    "BERT_TEMPLATE",
    "BOS",
    "CLS",
    "EOS",
    "IGNORED",
    "MASK",
    "MASKED_SHARE",
    "OBJECTIVES",
    "PAD",
    "PAIR_SPECIALS",
    "SEP",
    "SEQ2SEQ_SPECIALS",
    "SEQ2SEQ_TEMPLATE",
    "UNK",
    "Batch",
    "Corpus",
    "Documents",
    "Framed",
    "Passages",
    "Shuffled",
    "Table",
    "Template",
    "Tokenizer",
    "Windows",
    "causal",
    "generated",
    "load_corpus",
    "load_table",
    "load_tokenizer",
    "masked",
    "passages",
    "spread",
    "train_tokenizer",
    "validation_windows",
]
