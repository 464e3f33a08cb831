"""TrainConfig: everything that decides a training run, in one frozen record.

`None` means "the default for this size", which `resolve` fills in, so that the record
of a run holds what was really used.
"""

import dataclasses
import math
from dataclasses import dataclass

from minillm.errors import UsageError, guess, option
from minillm.learning.settings import (
    SGD_LR,
    WORDS,
    checked,
    last_lr,
    of_model,
    peak_lr,
    setting,
    word,
)
from minillm.models.architectures import (
    ARCHITECTURES,
    OWN,
    SIZES,
    architectures_for,
    check,
    check_arch,
    usual,
    which_size,
)
from minillm.nn.config import CHOICES, DESIGN, LATER, MOST, MOST_LAYERS, ModelConfig
from minillm.text import OBJECTIVES

SCHEDULES = ("cosine", "wsd", "constant")
OPTIMIZERS = ("adamw", "sgd")
TOKENIZERS = ("bpe", "wordpiece", "bytes", "chars")
SUBWORDS = ("bpe", "wordpiece")
DEFAULT = "default"  # the source of an option that nobody gave
LONGEST = 2**63 - 1  # what counts steps, and a seed, fit 64 bits
# The last part of a seed, (seed, step, this): draws of weights, of the objective and
# of the validation batch are derived anew from it, so that a resumed run, a run with
# other workers and a run on another device draw the same. 0 stays free: NumPy takes
# (seed, epoch), which shuffles the windows (text/examples.py), for (seed, epoch, 0).
WEIGHTS, OBJECTIVE, VALIDATION = 1, 2, 3
OWN_WIDTH = 64  # what goes through such a model at a time is guessed as for this
# Matrix products of fewer tokens at a time are slow at any width.
LEAST_TOKENS = 512


@dataclass(frozen=True)
class TrainConfig:
    """The options of `minillm train`. Lengths are in tokens or optimizer steps."""

    # the model
    size: str | None = setting(
        None, "A shape that `minillm sizes` lists.", metavar="NAME", choices=SIZES
    )
    n_layers: int | None = setting(None, "Transformer blocks.", most=MOST_LAYERS)
    d_model: int | None = setting(
        None, "Width of the residual stream (d_model).", most=MOST
    )
    n_heads: int | None = setting(
        None, "Attention heads, a divisor of the width.", most=MOST
    )
    n_kv_heads: int | None = setting(
        None, "Heads of keys and values, a divisor.", most=MOST
    )
    context: int | None = setting(None, "Tokens in a sequence.", most=MOST)
    arch: str | None = setting(
        None, f"{', '.join(ARCHITECTURES)}.", metavar="NAME", choices=ARCHITECTURES
    )
    norm: str | None = of_model("norm", "Norm before or after a layer.")
    norm_kind: str | None = of_model("norm_kind", "Layer norm or RMS norm.")
    positions: str | None = of_model(
        "positions", f"{', '.join(CHOICES['positions'])}.", metavar="NAME"
    )
    activation: str | None = of_model(
        "activation", f"{', '.join(CHOICES['activation'])}.", metavar="NAME"
    )
    qk_norm: bool | None = of_model("qk_norm", "RMS norm of queries and keys.")
    tied: bool | None = of_model("tied", "Embedding is the output layer too.")
    bias: bool | None = of_model("bias", "Layers and norms have a bias.")
    init: str = setting(
        ModelConfig.init, "How weights are drawn.", metavar="|".join(CHOICES["init"])
    )
    d_ff: int = setting(
        ModelConfig.d_ff, "Width of the feed-forward.", rare=True, low=0, most=MOST
    )
    norm_eps: float = setting(ModelConfig.norm_eps, "Of the norms.", rare=True, low=0)
    rope_base: float = setting(
        ModelConfig.rope_base, "Of rotary positions.", rare=True, low=0
    )
    pooling: str = setting(
        ModelConfig.pooling, "How embed pools.", rare=True, choices=CHOICES["pooling"]
    )
    # the data
    objective: str = setting(
        "clm", f"{', '.join(OBJECTIVES)}.", metavar="NAME", choices=OBJECTIVES
    )
    whole_words: bool = setting(False, "mlm hides whole words.")
    data: str = setting("stdlib", "Corpus, text, folder or .zip.", metavar="NAME|PATH")
    tokenizer: str = setting(
        "bpe", "bpe, wordpiece, bytes, chars.", metavar="NAME", choices=TOKENIZERS
    )
    vocab: int | None = setting(None, "Most entries of the vocabulary.", most=MOST)
    # the run
    batch: int | None = setting(
        None, "Sequences in a step. Default: by size.", most=MOST
    )
    steps: int | None = setting(
        None, "Length of the run in optimizer steps ...", most=LONGEST
    )
    tokens: int | None = setting(
        None, "... or in tokens. Default: by size.", most=LONGEST
    )
    optimizer: str = setting("adamw", "Update rule.", choices=OPTIMIZERS)
    lr: float | None = setting(None, "Peak learning rate. Default: by width.", low=0)
    min_lr: float | None = setting(
        None, "Where lr falls to. Default: by schedule.", low=0
    )
    schedule: str = setting("wsd", "How lr falls.", choices=SCHEDULES)
    warmup: int | None = setting(
        None, "Steps up to the peak learning rate.", low=0, most=LONGEST
    )
    beta1: float = setting(0.9, "AdamW's memory of the gradient.", low=0, below=1)
    beta2: float = setting(0.99, "AdamW's memory of its square.", low=0, below=1)
    weight_decay: float = setting(0.1, "Decay of matrices, times lr.", low=0)
    clip: float = setting(1.0, "Largest norm of the gradient.", low=0)
    dropout: float = setting(
        0.0, "Fraction of activations set to zero.", low=0, below=1
    )
    attention_dropout: float = setting(
        0.0, "The same of attention weights.", low=0, below=1
    )
    accumulate: int | None = setting(
        None, "Microbatches in a step. Default: by size.", most=MOST
    )
    seed: int = setting(0, "The same seed gives the same losses.", low=0, most=LONGEST)
    # the machine
    device: str = setting("auto", "auto, cpu, cuda or cuda:N.", metavar="NAME")
    workers: str = setting("auto", "Workers that share a batch.", metavar="N|auto")
    # the record
    out: str | None = setting(
        None, "The run's folder. Default: new, in runs/.", metavar="DIR"
    )
    eval_every: int | None = setting(
        None, "Steps from one validation to the next.", most=LONGEST
    )
    save_every: int | None = setting(
        None, "Steps from one checkpoint to the next.", most=LONGEST
    )
    keep: int = setting(2, "Checkpoints to keep, beside the best.", most=LONGEST)
    # other runs
    base: str | None = setting(
        None, "Begin with the weights of this run.", metavar="RUN"
    )
    fresh: bool = setting(False, "Only the shape and tokenizer of --base.")
    start: str | None = setting(
        None, "A shorter run, trained with --branch.", metavar="RUN"
    )
    branch: bool = setting(False, "Let a longer run --start here.")

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            fit = checked(field, value)
            if fit is not value:  # Path("my.txt"), workers=2
                object.__setattr__(self, field.name, fit)

    def _check_together(self) -> None:
        """Raises UsageError for settings that do not go together."""
        if self.arch is not None:
            check_arch(self.arch, self.objective)
        given = [n for n in OF_OURS if getattr(self, n) != getattr(TrainConfig, n)]
        if self.arch == OWN and given:
            name = given[0]
            raise UsageError(
                f"{word(name)} {getattr(self, name)} beside a model of your own, which "
                f"has its shape already: leave it out"
            )
        if self.attention_dropout and self.arch == "lstm":
            raise UsageError(
                f"attention_dropout {self.attention_dropout}: an LSTM has no attention"
            )
        if self.whole_words and not self.objective.startswith("mlm"):
            raise UsageError(
                f"{option('whole_words')} hides words, and objective {self.objective} "
                f"hides none"
            )
        if self.fresh and self.base is None:
            raise UsageError(
                f"{option('fresh')} draws new weights in the shape of a "
                f"{option('base')}: which?"
            )
        if (self.branch or self.start) and self.schedule != "wsd":
            raise UsageError(
                f"{option('branch')} and {option('start')} need "
                f"{option('schedule', 'wsd')}, got {self.schedule}, whose "
                f"rate depends on the length of the run from the first step on"
            )
        if self.schedule == "constant" and self.min_lr is not None:
            raise UsageError(
                f"min_lr {self.min_lr}: the rate of {option('schedule', 'constant')} "
                f"never falls"
            )
        if self.steps is not None and self.tokens is not None:
            raise UsageError(f"give {option('steps')} or {option('tokens')}, not both")

    def resolve(self) -> "TrainConfig":
        """The same run with every default of its size written out.

        `size` stays only where it names the shape, which numbers of one's own may have
        changed. Raises UsageError for what cannot be a model.
        """
        self._check_together()
        name, named, shape = which_size(
            self.size, self.n_layers, self.d_model, self.n_heads
        )
        n_layers, d_model, n_heads = shape
        context = self.context or named.context
        batch = self.batch or named.batch
        accumulate = self.accumulate or (1 if self.batch else named.accumulate)
        if batch % accumulate:
            raise UsageError(
                f"a batch of {batch} sequences cannot be split into {accumulate} equal "
                f"microbatches"
            )
        tokens = self.tokens or named.tokens
        steps = self.steps or max(1, round(tokens / (batch * context)))
        arch = self.arch or architectures_for(self.objective)[0]
        lr = self.lr
        if lr is None and self.optimizer == "sgd":
            lr = SGD_LR
        elif lr is None:
            lr = peak_lr(d_model, arch, self.norm)
        published = {} if arch == OWN else usual(arch)
        filled = {
            **{
                name: value if getattr(self, name) is None else getattr(self, name)
                for name, value in published.items()
            },
            "size": name,
            "n_layers": n_layers,
            "d_model": d_model,
            "n_heads": n_heads,
            "context": context,
            "arch": arch,
            "vocab": self.vocab or (1024 if self.tokenizer in SUBWORDS else None),
            "batch": batch,
            "accumulate": accumulate,
            "steps": steps,
            "tokens": None,
            "lr": lr,
            "min_lr": last_lr(lr, self.schedule)
            if self.min_lr is None
            else self.min_lr,
            "warmup": min(100, steps // 10) if self.warmup is None else self.warmup,
            "eval_every": self.eval_every or max(1, steps // 4),
            "save_every": self.save_every or max(1, steps // 2),
        }
        if arch == OWN:  # lengths are as for nano, and there is no shape
            filled |= without_shape()
        resolved = dataclasses.replace(self, **filled)
        resolved.shape(vocab_size=1)  # refused here, before any text is read
        return resolved

    def shape(self, vocab_size: int, n_classes: int = 0) -> ModelConfig | None:
        """That of the model this run trains, None of one's own. Call it on a resolved
        configuration."""
        if self.arch == OWN:
            return None
        same = {name: getattr(self, name) for name in OF_SHAPE}
        shape = ModelConfig(vocab_size=vocab_size, n_classes=n_classes, **same)
        check(shape)
        return shape

    @property
    def tokens_per_step(self) -> int:
        return self.batch * self.context

    def sequences_at_a_time(self, numbers: int, workers: int = 1) -> int:
        """What goes through the model at once, in one worker: its shard of the batch, a
        microbatch, or so many sequences that a layer's output holds about `numbers`,
        whichever is least."""
        tokens = max(LEAST_TOKENS, numbers // (self.d_model or OWN_WIDTH))
        n_shards = max(self.accumulate, workers)
        return min(math.ceil(self.batch / n_shards), max(1, tokens // self.context))

    @property
    def loss_unit(self) -> str:
        return OBJECTIVES[self.objective].loss_unit

    def to_json(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: dict) -> "TrainConfig":
        """The configuration of these options, in the command's words or in ours.

        Raises UsageError on an unknown key, and on two for one setting.
        """
        record = translated(record)
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(record) - known)
        if unknown:
            raise UsageError(
                f"unknown setting {unknown[0]!r}"
                f"{guess(unknown[0], sorted({*known, *WORDS}))}"
            )
        return cls(**record)


# The settings that a model's shape has under the same name.
OF_SHAPE = tuple(
    field.name
    for field in dataclasses.fields(ModelConfig)
    if hasattr(TrainConfig, field.name)
)


# Those of our architectures: with one's own model nothing of them may be asked.
OF_OURS = ("size", *(n for n in OF_SHAPE if n not in ("context", "arch")))


def without_shape() -> dict:
    """The settings of a model's shape as they are where nobody asks for one."""
    return {name: getattr(TrainConfig, name) for name in OF_OURS}


def translated(options: dict) -> dict:
    """Options by the names of `TrainConfig`'s fields: those of a command, or of a
    record of before, have `WORDS` for some. Raises UsageError for both of one."""
    for said, name in WORDS.items():
        if said in options and name in options:
            raise UsageError(f"{said} and {name} are one setting: give one of them")
    return {WORDS.get(name, name): value for name, value in options.items()}


def recorded(options: dict) -> dict:
    """The options of a record, by the names of `TrainConfig`'s fields. What one of
    before does not name is as it was before there was a choice."""
    options = translated(options)
    if options.get("arch") == OWN:
        return without_shape() | options
    names = (*DESIGN, *LATER)
    return {name: getattr(ModelConfig, name) for name in names} | options
