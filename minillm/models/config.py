"""What a model is, apart from its weights: a frozen, self-checking, JSON-able record.

`SIZES` names the series that `minillm train --size` offers.
"""

import dataclasses
from dataclasses import dataclass

from minillm.errors import UsageError

# Beyond these a mistake is likelier than a model: each layer is a few Python objects.
MOST = 10**8
MOST_LAYERS = 10_000


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a language model and how its weights are drawn.

    `init` is the rule by which weights are drawn (see `nn.Initializer`). Heads, the
    feed-forward and positions are a transformer's: an LSTM has none of them. An
    encoder–decoder has `n_layers` of each, and a source as well as a target may be as
    long as the context. With `n_classes` the model predicts which of them a sequence
    belongs to, and no tokens.
    """

    vocab_size: int
    n_layers: int
    d_model: int
    n_heads: int
    context: int
    arch: str = "gpt"
    d_ff: int = 0  # 0: 4 * d_model
    norm: str = "pre"
    positions: str = "learned"
    bias: bool = True
    tied: bool = False
    init: str = "fan_in"
    embedding_sd: float = 0.1  # under "fan_in", but for encdec, which has its own
    n_classes: int = 0

    def __post_init__(self):
        _check_count("n_layers", self.n_layers, at_least=1, most=MOST_LAYERS)
        for name in ("vocab_size", "d_model", "n_heads", "context"):
            _check_count(name, getattr(self, name), at_least=1)
        _check_count("d_ff", self.d_ff, at_least=0)
        _check_count("n_classes", self.n_classes, at_least=0)
        if self.d_model % self.n_heads:
            raise UsageError(
                f"width {self.d_model} cannot be divided among {self.n_heads} heads: "
                f"choose a width that is a multiple of the number of heads"
            )
        _check_choice("arch", self.arch, ARCHITECTURES)
        _check_choice("norm", self.norm, ("pre", "post"))
        _check_choice("positions", self.positions, ("learned", "sinusoidal"))
        _check_choice("init", self.init, INITS)
        if usual(self.arch)["tied"] and not self.tied:
            raise UsageError(
                f"arch {self.arch} predicts tokens with the table it reads them with: "
                f"it needs tied"
            )
        if self.n_classes == 1:
            raise UsageError("n_classes must be 0 (no classifier) or at least 2, got 1")
        if self.n_classes and self.arch == "encdec":
            raise UsageError(
                "arch encdec writes texts: for n_classes choose any other architecture"
            )

    @property
    def feed_forward_width(self) -> int:
        return self.d_ff or 4 * self.d_model

    def to_json(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: dict) -> "ModelConfig":
        """The configuration in a record. Raises UsageError on an unknown key."""
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(record) - known)
        if unknown:
            raise UsageError(f"unknown model setting {unknown[0]!r}")
        return cls(**record)


@dataclass(frozen=True)
class Size:
    """A named model shape with the training it is meant for."""

    n_layers: int
    d_model: int
    n_heads: int
    context: int
    batch: int  # sequences in a training step
    tokens: int  # what `train` runs by default
    accumulate: int = 1  # microbatches in a step, to bound its memory


INITS = ("gpt2", "fan_in")
# What each architecture is published with, where that is not what GPT is.
ARCHITECTURES = {
    "gpt": {},
    "lstm": {},
    "encoder": {},
    "bert": {"norm": "post", "tied": True},
    "encdec": {"norm": "post", "positions": "sinusoidal", "tied": True},
}

SIZES = {
    "pico": Size(2, 16, 1, 64, 16, 500_000),
    "nano": Size(2, 32, 2, 128, 8, 1_000_000),
    "micro": Size(4, 64, 4, 128, 16, 2_000_000),
    "tiny": Size(4, 128, 4, 128, 16, 4_000_000),
    "mini": Size(6, 192, 6, 256, 16, 20_000_000),
    "small": Size(8, 384, 6, 256, 64, 150_000_000, 2),
    "medium": Size(12, 512, 8, 512, 64, 750_000_000, 8),
    "base": Size(12, 768, 12, 1024, 64, 1_700_000_000, 16),
}


def usual(arch: str) -> dict:
    """The settings `norm`, `positions` and `tied` that are usual for an architecture.

    Raises UsageError for an unknown one.
    """
    _check_choice("arch", arch, ARCHITECTURES)
    names = ("norm", "positions", "tied")
    common = {name: getattr(ModelConfig, name) for name in names}
    return common | ARCHITECTURES[arch]


def size(name: str) -> Size:
    """The named size. Raises UsageError listing the names there are."""
    if name not in SIZES:
        raise UsageError(f"unknown size {name!r}: choose one of {', '.join(SIZES)}")
    return SIZES[name]


def _check_count(name: str, value, at_least: int, most: int = MOST) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{name} must be a whole number, got {value!r}")
    if not at_least <= value <= most:
        raise UsageError(f"{name} must be from {at_least} to {most:,}, got {value}")


def _check_choice(name: str, value, choices) -> None:
    if value not in choices:
        raise UsageError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
