"""Models: an architecture is one page that arranges the layers of `nn`, and one row in
the table of `architectures.py`."""

from minillm.lazy import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "architectures": [
            "ARCHITECTURES",
            "ModelConfig",
            "SIZES",
            "architectures_for",
            "build",
            "continues_text",
            "size",
            "usual",
        ],
        "bert": ["Bert"],
        "classifier": ["Classifier"],
        "encdec": ["EncoderDecoder"],
        "encoder": ["Encoder"],
        "gpt": ["GPT"],
        "language_model": ["LanguageModel"],
        "lstm": ["LSTMModel"],
    },
)
