"""Quantities: what a column measures (N, D, C, a loss), by its name.

quantity_of("n_params")         # "parameters"
quantity_of("tokens seen")      # "tokens"
quantity_of("params (M)")       # None: not in numbers, but in millions
"""

import re

# A name of several words may have neutral ones beside those of its quantity.
WORDS = {
    "parameters": "params param parameters parameter nparams 参数 参数量",
    "tokens": "d tokens token ntokens 词元 词元数",
    "FLOPs": "c flops flop compute 计算量",
    "steps": "step steps iter iters iteration iterations updates",
    "seconds": "seconds second sec secs time hours minutes walltime",
    "loss": "loss nll bpb bpc bits nats entropy xent 损失",
    "perplexity": "perplexity ppl 困惑度",
    "accuracy": "accuracy acc 准确率",
}
NEUTRAL = {
    *("n", "num", "number", "of", "the", "total", "count", "model", "non", "embedding"),
    *("train", "training", "trained", "seen", "val", "valid", "validation", "eval"),
    *("test", "held", "out", "final", "best", "last", "mean", "median", "smoothed"),
    *("cross", "results"),
}
QUANTITY = {word: name for name, words in WORDS.items() for word in words.split()}
WHOLE = {
    "n": "parameters",
    "n non embedding": "parameters",
    "non embedding": "parameters",
    "model size": "parameters",
    "bits per byte": "loss",
    "val bits per byte": "loss",
    "nats per token": "loss",
    "loss nats per token": "loss",
    "loss nats token": "loss",
    "l": "loss",
}
FALLING = ("loss", "nll", "bits", "nats", "bpb", "perplexity", "ppl", "entropy", "损失")
LETTERS = {"parameters": "N", "tokens": "D", "FLOPs": "C"}


def quantity_of(name: str) -> str | None:
    """`parameters`, `tokens`, `FLOPs`, `steps`, `seconds`, `loss`, `perplexity`,
    `accuracy`; None where the name does not say, or says several."""
    words = [word for word in re.split(r"[\W_]+", name.casefold()) if word]
    if found := WHOLE.get(" ".join(words)):
        return found
    named = {QUANTITY.get(word) for word in words if word not in NEUTRAL}
    return named.pop() if len(named) == 1 else None


def falls(name: str) -> bool:
    """Whether it is a loss of some kind, which falls as a model learns."""
    return any(word in name.lower() for word in FALLING)


def column_of(quantity: str, names) -> str | None:
    """The column of a quantity; among several, the one with its letter (N, D, C) or its
    own name. None if there are none, or several alike."""
    found = [name for name in names if quantity_of(name) == quantity]
    plain = LETTERS.get(quantity, quantity)
    alike = [name for name in found if name.lower() == plain.lower()]
    for few in ([name for name in alike if name == plain], alike, found):
        if len(few) == 1:
            return few[0]
    return None


def renamed(columns: dict[str, str]) -> str | None:
    """A note of columns, by quantity, whose names are not N, D and C."""
    others = [
        f"{column} as {LETTERS[quantity]}"
        for quantity, column in columns.items()
        if column.upper() != LETTERS[quantity]
    ]
    return f"reads {', '.join(others)}" if others else None
