"""Layouts: how Hugging Face's library `transformers` lays out a family of models.

A family is a row of `LAYOUTS`, and a file that says its config.json and where it keeps
each parameter. What a layout cannot say is refused.
"""

import importlib
from dataclasses import dataclass, field

from minillm.errors import UsageError, option
from minillm.nn import ModelConfig
from minillm.runs.run import Run


@dataclass(frozen=True)
class Layout:
    """A family: the file of this folder that knows it, the classes of `transformers`
    that are read, with the objective of each, and the values of the settings that it
    can say. `kv_heads`: heads may share keys and values."""

    name: str
    file: str
    classes: dict[str, str]
    says: dict[str, tuple] = field(default_factory=dict)
    kv_heads: bool = False
    classifies: bool = False

    @property
    def rules(self):
        """Its file: `config_of`, `places_of`, and `shape_of` where it is imported."""
        return importlib.import_module(f"minillm.hub.{self.file}")

    def refuse(self, config: ModelConfig) -> str | None:
        """In words, the first setting that it cannot say; None: it says all."""
        for name, values in self.says.items():
            value = getattr(config, name)
            if value not in values:
                has = f"the layout of {self.name} has {_listed(name, values)}"
                return f"{option(name, value)}, where {has}"
        if not self.kv_heads and config.kv_heads != config.n_heads:
            return (
                f"{option('kv_heads', config.kv_heads)}: in the layout of {self.name} "
                f"no heads share keys and values"
            )
        if config.n_classes and not self.classifies:
            return "a classifier, which of these layouts only BERT's has as ours is"
        return None


ADDED = ("learned", "sinusoidal")  # sines are a table of positions like another
LAYOUTS = {
    "gpt2": Layout(
        "GPT-2",
        "gpt2",
        {"GPT2LMHeadModel": "clm", "GPT2Model": "clm"},
        {
            "norm": ("pre",),
            "norm_kind": ("layer",),
            "positions": ADDED,
            "activation": ("gelu", "gelu_erf", "relu2"),
            "qk_norm": (False,),
        },
    ),
    "llama": Layout(
        "Llama",
        "llama",
        {"LlamaForCausalLM": "clm"},
        {
            "norm": ("pre",),
            "norm_kind": ("rms",),
            "positions": ("rotary",),
            "activation": ("swiglu",),
            "qk_norm": (False,),
        },
        kv_heads=True,
    ),
    "qwen3": Layout(
        "Qwen 3",
        "qwen3",
        {"Qwen3ForCausalLM": "clm"},
        {
            "norm": ("pre",),
            "norm_kind": ("rms",),
            "positions": ("rotary",),
            "activation": ("swiglu",),
            "qk_norm": (True,),
            "bias": (False,),
        },
        kv_heads=True,
    ),
    "bert": Layout(
        "BERT",
        "bert",
        {
            "BertForMaskedLM": "mlm",
            "BertForPreTraining": "mlm+nsp",
            "BertForSequenceClassification": "classify",
            "BertModel": "mlm",  # without its output
        },
        {
            "norm": ("post",),
            "norm_kind": ("layer",),
            "positions": ADDED,
            "activation": ("gelu", "gelu_erf"),
            "qk_norm": (False,),
        },
        classifies=True,
    ),
    "marian": Layout(
        "Marian",
        "marian",
        {"MarianMTModel": "seq2seq"},
        {
            "norm": ("post",),
            "norm_kind": ("layer",),
            "positions": ("sinusoidal",),  # it has no others
            "activation": ("gelu", "gelu_erf", "relu2"),
            "tied": (True,),
            "qk_norm": (False,),
            "norm_eps": (1e-5,),
        },
    ),
}
OF_ARCH = {"bert": "bert", "encdec": "marian"}
OTHERS = {
    "lstm": "no layout has an LSTM",
    "encoder": "no layout has its pre-norm blocks; bert's is one that there is",
}


def layout_of(run: Run) -> Layout:
    """The layout of a run's model. Raises UsageError, which names what no layout can
    say."""
    arch, config = run.config.arch, run.model.config
    if arch in OTHERS:
        reason = f"{option('arch', arch)}: {OTHERS[arch]}"
        raise UsageError(f"{run.path}: cannot be exported: {reason}")
    found = LAYOUTS[OF_ARCH.get(arch) or _of_gpt(config)]
    if reason := found.refuse(config):
        raise UsageError(f"{run.path}: cannot be exported: {reason}")
    return found


def _of_gpt(config: ModelConfig) -> str:
    """GPT's blocks are Llama's as soon as one of their parts is, or Qwen's."""
    parts = (config.norm_kind, config.positions, config.activation)
    if not {"rms", "rotary", "swiglu"} & {*parts}:
        return "gpt2"
    return "qwen3" if config.qk_norm else "llama"


def _listed(name: str, values: tuple) -> str:
    """The values that a setting may have; a switch by its name."""
    switch = isinstance(values[0], bool)
    return ", ".join(option(name, v) if switch else str(v) for v in values)
