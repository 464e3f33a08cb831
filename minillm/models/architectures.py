"""The table of architectures, one row for each."""

import importlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from minillm.errors import UsageError
from minillm.models.language_model import LanguageModel
from minillm.nn.config import DESIGN, ModelConfig, check_choice


@dataclass(frozen=True)
class Architecture:
    """An architecture: its class, as "file.Class" of this folder, the objectives it can
    be trained for, the settings it was published with where GPT's are others, and a
    factor of the learning rate."""

    place: str
    objectives: tuple[str, ...]
    settings: dict = field(default_factory=dict)
    lr_factor: float = 1.0
    has_heads: bool = True  # and a feed-forward: it is a transformer

    @cached_property
    def model(self) -> type[LanguageModel]:
        """Its class: a file is opened when its architecture is asked for."""
        file, _, name = self.place.partition(".")
        return getattr(importlib.import_module(f"minillm.models.{file}"), name)


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
    ),
    "encdec": Architecture(
        "encdec.EncoderDecoder",
        ("seq2seq",),
        settings={"norm": "post", "positions": "sinusoidal", "tied": True},
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
