"""TrainConfig: everything that decides a training run, in one frozen record.

`None` means "the default for this size", which `resolve` fills in, so that the record
of a run holds what was really used.
"""

import dataclasses
import math
import os
from dataclasses import dataclass

from minillm.errors import UsageError
from minillm.models.architectures import architecture, architectures_for, check, usual
from minillm.models.sizes import default_heads, own_size, size
from minillm.nn.config import MOST, MOST_LAYERS, ModelConfig
from minillm.text import OBJECTIVES

# Plain descent has no scale of its own: of 0.0075, 0.1, 0.3 and 1 at width 16, the two
# in the middle were the best.
SGD_LR = 0.2
SCHEDULES = ("cosine", "wsd", "constant")
OPTIMIZERS = ("adamw", "sgd")
TOKENIZERS = ("bpe", "wordpiece", "bytes", "chars")
SUBWORDS = ("bpe", "wordpiece")
# The command's words for a model's shape, and the names that they have here.
WORDS = {"layers": "n_layers", "width": "d_model", "heads": "n_heads"}
DEFAULT = "default"  # the source of an option that nobody gave
OPTIONAL = ("out", "start", "base")
LONGEST = 2**63 - 1  # what counts steps, and a seed, fit 64 bits
# The last part of a seed, (seed, step, this): draws of weights, of the objective and
# of the validation batch are derived anew from it, so that a resumed run, a run with
# other workers and a run on another device draw the same. 0 stays free: NumPy takes
# (seed, epoch), which shuffles the windows (text/examples.py), for (seed, epoch, 0).
WEIGHTS, OBJECTIVE, VALIDATION = 1, 2, 3
# Matrix products of fewer tokens at a time are slow at any width.
LEAST_TOKENS = 512


@dataclass(frozen=True)
class TrainConfig:
    """The options of `minillm train`. Lengths are in tokens or optimizer steps."""

    # the model
    size: str | None = None
    n_layers: int | None = None
    d_model: int | None = None
    n_heads: int | None = None
    context: int | None = None
    arch: str | None = None
    norm: str | None = None
    positions: str | None = None
    tied: bool | None = None
    bias: bool = ModelConfig.bias
    init: str = ModelConfig.init
    # the data
    objective: str = "clm"
    whole_words: bool = False
    data: str = "stdlib"
    tokenizer: str = "bpe"
    vocab: int | None = None
    # the run
    batch: int | None = None
    steps: int | None = None
    tokens: int | None = None
    optimizer: str = "adamw"
    lr: float | None = None
    min_lr: float | None = None
    schedule: str = "wsd"
    warmup: int | None = None
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.1
    clip: float = 1.0
    dropout: float = 0.0
    accumulate: int | None = None
    seed: int = 0
    # the machine
    device: str = "auto"
    workers: str = "auto"
    # the record
    out: str | None = None
    base: str | None = None  # a run whose weights to begin with
    fresh: bool = False  # its shape and tokenizer only, and new weights
    start: str | None = None  # a shorter run of the same settings, made with `branch`
    branch: bool = False
    eval_every: int | None = None
    save_every: int | None = None
    keep: int = 2

    def __post_init__(self):
        for name in ("data", "out", "base", "start", "device", "workers"):
            value = getattr(self, name)
            if isinstance(value, (os.PathLike, int)):  # Path("my.txt"), workers=2
                object.__setattr__(self, name, str(value))
            elif not (isinstance(value, str) or (value is None and name in OPTIONAL)):
                raise UsageError(f"{name} must be text, got {value!r}")
            check_name(name, getattr(self, name))
        _check_number("n_layers", self.n_layers, low=1, most=MOST_LAYERS, whole=True)
        for name in ("d_model", "n_heads", "context", "vocab", "batch", "accumulate"):
            _check_number(name, getattr(self, name), low=1, most=MOST, whole=True)
        for name in ("steps", "tokens", "eval_every", "save_every", "keep"):
            _check_number(name, getattr(self, name), low=1, most=LONGEST, whole=True)
        for name in ("warmup", "seed"):
            _check_number(name, getattr(self, name), low=0, most=LONGEST, whole=True)
        for name in ("lr", "min_lr", "weight_decay", "clip"):
            _check_number(name, getattr(self, name), low=0)
        for name in ("beta1", "beta2", "dropout"):
            _check_number(name, getattr(self, name), low=0, below=1)
        for name in ("bias", "branch", "fresh", "whole_words"):
            _check_choice(name, getattr(self, name), (True, False))
        if self.tied is not None:
            _check_choice("tied", self.tied, (True, False))
        _check_choice("objective", self.objective, OBJECTIVES)
        _check_choice("schedule", self.schedule, SCHEDULES)
        _check_choice("optimizer", self.optimizer, OPTIMIZERS)
        _check_choice("tokenizer", self.tokenizer, TOKENIZERS)

    def _check_together(self) -> None:
        """Raises UsageError for settings that do not go together."""
        if self.arch is not None:
            check_arch(self.arch, self.objective)
        if self.whole_words and not self.objective.startswith("mlm"):
            raise UsageError(
                f"--whole-words hides words, and objective {self.objective} hides none"
            )
        if self.fresh and self.base is None:
            raise UsageError(
                "--fresh draws new weights in the shape of a --base: which?"
            )
        if (self.branch or self.start) and self.schedule != "wsd":
            raise UsageError(
                f"--branch and --start need --schedule wsd, got {self.schedule}, whose "
                f"rate depends on the length of the run from the first step on"
            )
        if self.schedule == "constant" and self.min_lr is not None:
            raise UsageError(
                f"min_lr {self.min_lr}: the rate of --schedule constant never falls"
            )
        if self.steps is not None and self.tokens is not None:
            raise UsageError("give --steps or --tokens, not both")

    def resolve(self) -> "TrainConfig":
        """The same run with every default of its size written out.

        `size` stays only where it names the shape, which numbers of one's own may have
        changed. Raises UsageError for what cannot be a model.
        """
        self._check_together()
        name = self.size
        if name is None and self.n_layers and self.d_model:
            named = own_size(self.n_layers, self.d_model)
        else:
            name = name or "nano"
            named = size(name)
        n_layers = self.n_layers or named.n_layers
        d_model = self.d_model or named.d_model
        n_heads = self.n_heads
        if n_heads is None:
            same = d_model == named.d_model
            n_heads = named.n_heads if same else default_heads(d_model)
        shape = n_layers, d_model, n_heads
        if shape != (named.n_layers, named.d_model, named.n_heads):
            name = None
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
        if lr is None:
            lr = SGD_LR if self.optimizer == "sgd" else peak_lr(d_model, arch)
        filled = {
            **{
                name: value if getattr(self, name) is None else getattr(self, name)
                for name, value in usual(arch).items()
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
        resolved = dataclasses.replace(self, **filled)
        resolved.shape(vocab_size=1)  # refused here, before any text is read
        return resolved

    def shape(self, vocab_size: int, n_classes: int = 0) -> ModelConfig:
        """That of the model this run trains. Call it on a resolved configuration."""
        shape = ModelConfig(
            vocab_size=vocab_size,
            n_classes=n_classes,
            n_layers=self.n_layers,
            d_model=self.d_model,
            n_heads=self.n_heads,
            context=self.context,
            arch=self.arch,
            norm=self.norm,
            positions=self.positions,
            bias=self.bias,
            tied=self.tied,
            init=self.init,
        )
        check(shape)
        return shape

    @property
    def tokens_per_step(self) -> int:
        return self.batch * self.context

    def sequences_at_a_time(self, numbers: int, workers: int = 1) -> int:
        """What goes through the model at once, in one worker: its share of the batch, a
        microbatch, or so many sequences that a layer's output holds about `numbers`,
        whichever is least."""
        tokens = max(LEAST_TOKENS, numbers // self.d_model)
        shares = max(self.accumulate, workers)
        return min(math.ceil(self.batch / shares), max(1, tokens // self.context))

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
                f"unknown setting {unknown[0]!r}: the settings are "
                f"{', '.join(sorted(known))}"
            )
        return cls(**record)


def translated(options: dict) -> dict:
    """Options by the names of `TrainConfig`'s fields: those of a command, or of a
    record of before, have `WORDS` for some. Raises UsageError for both of one."""
    for word, name in WORDS.items():
        if word in options and name in options:
            raise UsageError(f"{word} and {name} are one setting: give one of them")
    return {WORDS.get(name, name): value for name, value in options.items()}


def option(name: str) -> str:
    """The option of `minillm train` that sets a field."""
    return "--" + word(name).replace("_", "-")


def word(name: str) -> str:
    """The command's word for a field."""
    return next((word for word, field in WORDS.items() if field == name), name)


def check_arch(arch: str, objective: str) -> None:
    """Raises UsageError for an architecture that cannot be trained with it."""
    allowed = architectures_for(objective)
    if arch not in allowed:
        others = [name for name in OBJECTIVES if arch in architectures_for(name)]
        way = f": arch {arch} is for objective {' or '.join(others)}" if others else ""
        raise UsageError(
            f"objective {objective} needs arch {' or '.join(allowed)}, got {arch!r}"
            f"{way}"
        )


def peak_lr(d_model: int, arch: str = "gpt", at_32: float = 0.0075) -> float:
    """The largest learning rate of a run by width: at_32·(32/d_model)^0.8, measured at
    widths 16 to 128; an architecture may have a factor of its own."""
    return at_32 * (32 / d_model) ** 0.8 * architecture(arch).lr_factor


def last_lr(lr: float, schedule: str) -> float | None:
    """The rate that a schedule falls to, where nothing else is said."""
    return {"cosine": lr / 10, "wsd": 0.0, "constant": None}[schedule]


def check_name(name: str, value: str | None) -> None:
    """Raises UsageError for the name of a file that a record could not hold."""
    try:
        (value or "").encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(
            f"{name} {value!a} is no name in UTF-8: choose another one (or, if it is, "
            f"set PYTHONUTF8=1)"
        ) from None


def _check_number(
    name: str, value, low, below=math.inf, most=None, whole: bool = False
) -> None:
    if value is None:
        return
    kind = int if whole else (int, float)
    if name in WORDS.values():
        name = f"{name} ({option(name)})"
    if isinstance(value, bool) or not isinstance(value, kind):
        what = "a whole number" if whole else "a number"
        raise UsageError(f"{name} must be {what}, got {value!r}")
    if not low <= value < below:  # not for NaN either
        end = "" if whole else " and finite"
        if below < math.inf:
            end = f" and below {below}"
        raise UsageError(f"{name} must be at least {low}{end}, got {value}")
    if most is not None and value > most:
        raise UsageError(f"{name} must be at most {most:,}, got {value}")


def _check_choice(name: str, value, choices) -> None:
    if value not in choices:
        raise UsageError(
            f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}"
        )
