"""Tokens as labels: short, and nothing in them invisible."""

from collections.abc import Sequence

from minillm.text import Tokenizer

LONGEST = 12
SHOWN = str.maketrans({" ": "␣", "\n": "↵", "\t": "⇥"})


def token_labels(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """A label for each token.

    White space is made visible, special tokens go by their names, half a character by
    its bytes ("e4 b8"). A long token loses its end.
    """
    special = {i: name for name, i in tokenizer.specials.items()}
    return [special.get(int(i)) or _label(tokenizer.token_bytes(int(i))) for i in ids]


def _label(written: bytes) -> str:
    try:
        text = written.decode("utf-8").translate(SHOWN)
    except UnicodeDecodeError:
        text = written.hex(" ")
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
