"""Text in, integer batches out: corpora, tokenizers, examples, objectives."""

from minillm.lazy import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "batch": ["IGNORED", "Batch", "Framed"],
        "cache": ["Cache", "cache_folder"],
        "corpus": ["Corpus", "load_corpus"],
        "documents": ["Documents", "Passages", "passages"],
        "examples": [
            "Shuffled",
            "Windows",
            "spread",
            "validation_windows",
        ],
        "objectives": ["MASKED_SHARE", "OBJECTIVES", "causal", "masked"],
        "synthetic.by_name": ["generated"],
        "table": ["Table", "load_table"],
        "template": ["BARE_TEMPLATE", "BERT_TEMPLATE", "SEQ2SEQ_TEMPLATE", "Template"],
        "tokenizer.base": [
            *("BOS", "CLS", "EOS", "MASK", "PAD", "SEP", "UNK"),
            *("PAIR_SPECIALS", "SEQ2SEQ_SPECIALS"),
            *("Lost", "Tokenizer"),
        ],
        "tokenizer.load": ["load_tokenizer"],
        "tokenizer.merges": ["load_bpe"],
        "tokenizer.train": ["train_tokenizer"],
    },
)
