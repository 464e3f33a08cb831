"""The shape of a model: a frozen record that checks itself, to and from JSON."""

import dataclasses
import math
from dataclasses import dataclass

from minillm.errors import UsageError, shortened

# Beyond these a mistake is likelier than a model: each layer is a few Python objects.
MOST = 10**8
MOST_LAYERS = 10_000

INITS = ("gpt2", "fan_in")
CHOICES = {
    "norm": ("pre", "post"),
    "norm_kind": ("layer", "rms"),
    "positions": ("learned", "sinusoidal", "rotary"),
    "activation": ("gelu", "swiglu", "relu2", "gelu_erf"),
    "pooling": ("text", "mean", "cls"),
    "init": INITS,
}
# What came later, for models from elsewhere: a record of before is of the defaults.
LATER = ("n_kv_heads", "d_ff", "norm_eps", "rope_base", "pooling")
# What an architecture was published with, and a model of it has unless told otherwise.
DESIGN = ("norm", "norm_kind", "positions", "activation", "qk_norm", "tied", "bias")


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a language model and how its weights are drawn.

    `init` is the rule by which weights are drawn (see `nn.Initializer`). Heads, the
    feed-forward and positions are a transformer's: an LSTM has none of them. An
    encoder–decoder has `n_layers` of each, and a source as well as a target may be as
    long as the context. With `n_classes` the model predicts which of them a sequence
    belongs to, and no tokens.

    `norm_eps` is added to a variance (or mean square) under the root. Rotary positions
    turn pair i of a head of width d by position · rope_base^(−2i/d). `pooling` says
    what `embed` makes of a text's tokens: the mean of the "text"'s own, the "mean" of
    all, special tokens too, or the vector of the first, "cls".
    """

    vocab_size: int
    n_layers: int
    d_model: int
    n_heads: int
    context: int
    arch: str = "gpt"
    d_ff: int = 0  # 0: see feed_forward_width
    norm: str = "pre"
    norm_kind: str = "layer"
    positions: str = "learned"
    activation: str = "gelu"
    qk_norm: bool = False
    bias: bool = True
    tied: bool = False
    init: str = "fan_in"
    embedding_sd: float = 0.1  # under "fan_in", but for encdec, which has its own
    n_classes: int = 0
    n_kv_heads: int | None = None  # None: n_heads
    norm_eps: float = 1e-5
    rope_base: float = 10_000.0
    pooling: str = "text"

    def __post_init__(self):
        _check_count("n_layers", self.n_layers, at_least=1, most=MOST_LAYERS)
        for name in ("vocab_size", "d_model", "n_heads", "context"):
            _check_count(name, getattr(self, name), at_least=1)
        _check_count("d_ff", self.d_ff, at_least=0)
        _check_count("n_classes", self.n_classes, at_least=0)
        width = head_width(self.d_model, self.n_heads)
        if self.n_kv_heads is not None:
            _check_count("n_kv_heads", self.n_kv_heads, at_least=1)
            check_groups(self.n_heads, self.n_kv_heads)
        for name, choices in CHOICES.items():
            check_choice(name, getattr(self, name), choices)
        _check_positive("norm_eps", self.norm_eps, below=1)
        _check_positive("rope_base", self.rope_base)
        if self.positions != "rotary" and self.rope_base != ModelConfig.rope_base:
            raise UsageError(
                f"rope_base {self.rope_base}: positions {self.positions} turn nothing"
            )
        if self.positions == "rotary" and width % 2:
            raise UsageError(
                f"rotary positions turn pairs of numbers, and a head of width "
                f"{self.d_model} / {self.n_heads} has {width}: choose an even one"
            )
        if self.n_classes == 1:
            raise UsageError("n_classes must be 0 (no classifier) or at least 2, got 1")

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values, each shared by n_heads / kv_heads of queries."""
        return self.n_kv_heads or self.n_heads

    @property
    def feed_forward_width(self) -> int:
        """`d_ff`, or the usual: 4·d_model. Where a third matrix makes the gate 8/3 of
        it, as many parameters, rounded up to a multiple of 8."""
        if self.activation == "swiglu":
            return self.d_ff or 8 * math.ceil(self.d_model / 3)
        return self.d_ff or 4 * self.d_model

    @property
    def encodes_sentences(self) -> bool:
        """Whether it is a sentence encoder, which gives vectors and no predictions."""
        return self.arch == "bert" and self.pooling != "text" and not self.n_classes

    @property
    def of_transformers(self) -> list[str]:
        """The settings that say more than the default of what an LSTM has not."""
        names = ["positions"] if self.positions == "rotary" else []
        return names + [
            name
            for name in ("activation", "qk_norm", "n_kv_heads", "d_ff")
            if getattr(self, name) != getattr(ModelConfig, name)
        ]

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


def head_width(width: int, n_heads: int) -> int:
    """The numbers of a token that each head sees. Raises UsageError where the width
    cannot be divided among the heads."""
    if width % n_heads:
        raise UsageError(
            f"width {width} cannot be divided among {n_heads} heads: choose a width "
            f"that is a multiple of the number of heads"
        )
    return width // n_heads


def check_groups(n_heads: int, n_kv_heads: int) -> None:
    """Raises UsageError where the heads of queries cannot share those of keys and
    values equally."""
    if n_heads % n_kv_heads:
        raise UsageError(
            f"{n_heads} heads cannot share {n_kv_heads} heads of keys and values "
            f"(n_kv_heads) equally: choose a divisor of {n_heads}"
        )


def _check_count(name: str, value, at_least: int, most: int = MOST) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(
            f"{name} must be a whole number, got {shortened(repr(value), 200)}"
        )
    if not at_least <= value <= most:
        raise UsageError(f"{name} must be from {at_least} to {most:,}, got {value}")


def _check_positive(name: str, value, below: float = math.inf) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and 0 < value < below):  # not for NaN either
        end = "finite" if below == math.inf else f"below {below}"
        raise UsageError(f"{name} must be above 0 and {end}, got {value!r}")


def check_choice(name: str, value, choices) -> None:
    if value not in choices:
        raise UsageError(
            f"{name} must be one of {', '.join(map(str, choices))}, got "
            f"{shortened(repr(value), 200)}"
        )
