"""The two tables that models are chosen from: architectures and sizes."""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from minillm.errors import UsageError, guess, nearest, quoted
from minillm.models.language_model import LanguageModel
from minillm.nn.config import DESIGN, ModelConfig, check_choice
from minillm.text import OBJECTIVES


@dataclass(frozen=True)
class Architecture:
    """An architecture: its class, as "file.Class" of this folder, the objectives it can
    be trained for, the settings it was published with where GPT's are others, and
    factors of the learning rate."""

    place: str
    objectives: tuple[str, ...]
    settings: dict = field(default_factory=dict)
    lr_factor: float = 1.0
    post_norm_lr_factor: float = 1.0  # times this, with its norms behind the sums
    has_heads: bool = True  # and a feed-forward: it is a transformer

    @cached_property
    def model(self) -> type[LanguageModel]:
        """Its class: a file is opened when its architecture is asked for."""
        file, _, name = self.place.partition(".")
        return getattr(importlib.import_module(f"minillm.models.{file}"), name)


OWN = "own"  # the arch of a model that `train` is given, of a class that nobody knows
# The first one that an objective names is its default.
ARCHITECTURES = {
    "gpt": Architecture("gpt.GPT", ("clm", "classify")),
    # GPT's class, as Touvron et al. 2023 built it: what most models have today. Output
    # and tokens have tables of their own, as GPT's here: at nano and micro, two seeds
    # each, a tied table came to the same loss, within the difference of seeds.
    "llama": Architecture(
        "gpt.GPT",
        ("clm", "classify"),
        settings={
            "norm_kind": "rms",
            "positions": "rotary",
            "activation": "swiglu",
            "bias": False,
        },
    ),
    # Times a transformer's rate: 1.7 and 3 were the best at widths 16 and 64.
    "lstm": Architecture(
        "lstm.LSTMModel", ("clm", "classify"), lr_factor=2.0, has_heads=False
    ),
    "encoder": Architecture("encoder.Encoder", ("mlm", "classify")),
    "bert": Architecture(
        "bert.Bert",
        ("mlm", "mlm+nsp", "classify"),
        settings={"norm": "post", "tied": True},
        # The best of 1, 0.7, 0.5 and 0.35 at widths 32 and 64 (4,000 steps, two seeds).
        post_norm_lr_factor=0.5,
    ),
    "encdec": Architecture(
        "encdec.EncoderDecoder",
        ("seq2seq",),
        settings={"norm": "post", "positions": "sinusoidal", "tied": True},
        # Of 1, 0.5 and 0.25 the best at micro; at nano all reverse strings.
        post_norm_lr_factor=0.5,
    ),
}


def architecture(name: str) -> Architecture:
    """The row of this name. Raises UsageError that lists the names."""
    check_choice("arch", name, ARCHITECTURES)
    return ARCHITECTURES[name]


def architectures_for(objective: str) -> tuple[str, ...]:
    """The names of those that an objective can train, the default first."""
    return tuple(
        name for name, arch in ARCHITECTURES.items() if objective in arch.objectives
    )


def usual(name: str) -> dict:
    """The settings of `DESIGN` that are usual for an architecture.

    Raises UsageError for an unknown one.
    """
    common = {setting: getattr(ModelConfig, setting) for setting in DESIGN}
    return common | architecture(name).settings


def check_arch(arch: str, objective: str, known: Iterable[str] = OBJECTIVES) -> None:
    """Raises UsageError for an architecture that cannot be trained with it, which says
    which of the known objectives can."""
    if arch == OWN:
        allowed = [n for n, each in OBJECTIVES.items() if each.kind == "windows"]
        if objective not in allowed:
            raise UsageError(
                f"objective {objective}: a model of your own learns "
                f"{' or '.join(allowed)}"
            )
        return
    allowed = architectures_for(objective)
    if arch not in allowed:
        others = [name for name in known if arch in architectures_for(name)]
        way = f": arch {arch} is for objective {' or '.join(others)}" if others else ""
        way = way or nearest(arch, allowed)
        raise UsageError(
            f"objective {objective} needs arch {' or '.join(allowed)}, got "
            f"{quoted(arch)}{way}"
        )


def check(config: ModelConfig) -> None:
    """Raise UsageError for a shape that its architecture cannot have."""
    arch = architecture(config.arch)
    if not arch.has_heads and config.of_transformers:
        name = config.of_transformers[0]
        raise UsageError(
            f"{name} {getattr(config, name)}: arch {config.arch} has no heads and no "
            f"feed-forward: leave it out, or choose a transformer"
        )
    if config.n_classes and "classify" not in arch.objectives:
        raise UsageError(
            f"arch {config.arch} writes texts: for n_classes choose any other "
            f"architecture"
        )


def build(
    config: ModelConfig, rng: np.random.Generator, dtype=np.float32
) -> LanguageModel:
    """The model a configuration describes, its weights drawn from `rng`.

    Raises UsageError for a shape that its architecture cannot have.
    """
    check(config)
    model = ARCHITECTURES[config.arch].model(config, rng, dtype)
    if not config.n_classes:
        return model
    from minillm.models.classifier import Classifier

    return Classifier(model, rng)


def continues_text(arch: str) -> bool:
    """Whether models of an architecture can write, token by token."""
    return ARCHITECTURES[arch].model.continues_text


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


def size(name: str) -> Size:
    """The named size. Raises UsageError listing the names there are."""
    if name not in SIZES:
        raise UsageError(f"unknown size {quoted(str(name))}{guess(name, SIZES)}")
    return SIZES[name]


def which_size(
    name: str | None, n_layers: int | None, d_model: int | None, n_heads: int | None
) -> tuple[str | None, Size, tuple[int, int, int]]:
    """The shape that a name and numbers of one's own mean together: its name, if it
    still has one; the named size whose training it takes; (layers, width, heads).

    Without a name, and without layers and width, nano is meant. Raises UsageError.
    """
    if name is None and n_layers and d_model:
        named = own_size(n_layers, d_model)
    else:
        name = name or "nano"
        named = size(name)
    n_layers = n_layers or named.n_layers
    d_model = d_model or named.d_model
    if n_heads is None:
        same = d_model == named.d_model
        n_heads = named.n_heads if same else default_heads(d_model)
    shape = n_layers, d_model, n_heads
    if shape != (named.n_layers, named.d_model, named.n_heads):
        name = None
    return name, named, shape


def own_size(n_layers: int, d_model: int) -> Size:
    """A shape of one's own, with the training of a small one."""
    n_heads = default_heads(d_model)
    return Size(n_layers, d_model, n_heads, context=128, batch=16, tokens=1_000_000)


def default_heads(d_model: int, numbers: int = 32) -> int:
    """As many heads as divide the width into parts of at least so many numbers."""
    most = max(1, d_model // numbers)
    return next(n for n in range(most, 0, -1) if d_model % n == 0)
