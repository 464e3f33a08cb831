"""The ladder: the sizes of a series, and the settings to train each with."""

import os
import shlex
from dataclasses import asdict, dataclass, field

from minillm.errors import UsageError, guess, quoted
from minillm.kinds import COUNT, NOT_NEGATIVE, POSITIVE, Number
from minillm.learning.config import TrainConfig
from minillm.learning.settings import peak_lr
from minillm.models import architectures_for, usual
from minillm.models.architectures import check_arch, default_heads
from minillm.nn.config import MOST_LAYERS
from minillm.series.model_settings import checked, written
from minillm.text import OBJECTIVES

HEAD_WIDTH = 16
FEWEST_WIDTHS = 4  # E, A and alpha, and one more
DIVISORS = (8, 4, 2, 1)
RATES = (0.625, 1.6)
# The values of a ladder in a plan.json: `kinds.check`. A larger one is a mistake, and
# reading it would take long.
WIDTH = Number(1, 100_000, whole=True)
SEEDS = Number(1, 1_000, whole=True)
TOKENS = Number(1, 10**15, whole=True)
IN_A_STEP = Number(1, 10**6, whole=True)
KIND = {
    "name": str,
    "layers": Number(1, MOST_LAYERS, whole=True),
    "widths": [WIDTH],
    "seeds": [SEEDS],
    "held_out": WIDTH,
    "tokens": TOKENS,
    "lr": POSITIVE,
    "budget": NOT_NEGATIVE,
    "held_out_seeds?": SEEDS,
    "enough_tokens?": TOKENS,
    "least_tokens?": TOKENS,
    "divisors?": [SEEDS],
    "rates?": [POSITIVE],
    "device?": str,
    "context?": IN_A_STEP,
    "batch?": IN_A_STEP,
    "warmup?": COUNT,
    "untrained?": [WIDTH],
    "model?": dict,
}


@dataclass(frozen=True)
class Ladder:
    """A series of models that differ in width alone.

    Every model reads the same number of tokens, none twice, at a learning rate that
    depends on its width: a difference in loss is then a difference in size. The law is
    fitted to `widths` and has to predict `held_out`.

    With `divisors`, each of the fitted models is also cooled down at these parts of its
    tokens, as branches of one trunk: a law of size and tokens can then be fitted. With
    `rates`, the narrowest and the widest are also trained for a quarter of the tokens
    at these multiples of their learning rate, to check the rule for it.
    """

    name: str
    layers: int
    widths: tuple[int, ...]
    seeds: tuple[int, ...]  # runs of each width, where time allows
    held_out: int
    tokens: int  # for each model
    lr: float  # peak, of a GPT at width 32
    budget: float  # seconds for everything on two cores
    held_out_seeds: int = 1
    enough_tokens: int = 1_500_000  # fewer only when no repeat is left to leave out
    least_tokens: int = 1_000_000
    divisors: tuple[int, ...] = (1,)
    rates: tuple[float, ...] = ()
    device: str = "cpu"
    context: int = 64
    batch: int = 16
    warmup: int = 100  # steps
    untrained: tuple[int, ...] = (128, 256, 384, 512)  # whose decoding is timed
    # settings of `model_settings` that all have, in place of the architecture's own
    model: dict = field(default_factory=dict, hash=False)

    def __post_init__(self):
        object.__setattr__(self, "model", checked(self.model))
        if len(set(self.widths)) < FEWEST_WIDTHS:
            raise UsageError(
                f"{len(set(self.widths))} widths, but a law of three unknowns needs "
                f"{FEWEST_WIDTHS}"
            )
        if len(self.seeds) != len(self.widths) or min(self.seeds) < 1:
            raise UsageError("seeds: give a number from 1 for each of the widths")
        if 1 not in self.divisors or (self.rates and 4 not in self.divisors):
            raise UsageError("divisors: 1 is needed, and with rates 4, to compare with")
        if self.held_out <= max(self.widths):
            raise UsageError(f"the held-out width {self.held_out} must be the largest")

    @property
    def tokens_per_step(self) -> int:
        return self.batch * self.context

    @property
    def rate_widths(self) -> tuple[int, int]:
        """The narrowest and the widest, at which the learning rate is checked."""
        return min(self.widths), max(self.widths)

    def lengths(self, tokens: int) -> tuple[int, ...]:
        """The tokens after which a model of so many tokens is cooled down, ascending.

        Never fewer than `least_tokens`: with fewer, the early part of training, which
        follows no power law, would be part of the law.
        """
        wanted = {self.whole_steps(tokens / n) for n in self.divisors}
        least = self.whole_steps(self.least_tokens)
        return tuple(sorted(n for n in wanted if n >= least or n == max(wanted)))

    def whole_steps(self, tokens: float) -> int:
        """The most tokens up to these that fill whole steps."""
        return int(tokens // self.tokens_per_step) * self.tokens_per_step

    def config(
        self,
        width: int,
        *,
        data: str,
        tokenizer: str,
        tokens: int,
        seed: int,
        objective: str = "clm",
        arch: str | None = None,
        shortest: int | None = None,
        rate: float = 1.0,
    ) -> TrainConfig:
        """The settings to train one model with, without its folder.

        shortest: the tokens of the shortest branch, which the warm-up must fit into;
        rate: a factor of the usual learning rate.

        Matrices N(0, 1/fan in), no bias, no decay; AdamW; 100 steps of warm-up, a
        constant rate, and the last fifth linear to 0. A rate that falls with width as
        d^(−0.8) was the best at both ends of the series; an LSTM's is twice as high,
        that of BERT with post-norm half.
        """
        arch = architecture(objective, arch)
        steps = max(1, tokens // self.tokens_per_step)
        shortest_steps = max(1, (shortest or tokens) // self.tokens_per_step)
        return TrainConfig(
            n_layers=self.layers,
            d_model=width,
            n_heads=heads(width),
            context=self.context,
            arch=arch,
            objective=objective,
            **{"tied": usual(arch)["tied"], "bias": False, **self.model},
            init="fan_in",
            data=data,
            tokenizer=tokenizer,
            vocab=98 if tokenizer == "chars" else None,
            batch=self.batch,
            steps=steps,
            lr=peak_lr(width, arch, self.model.get("norm"), at_32=rate * self.lr),
            schedule="wsd",
            warmup=min(self.warmup, shortest_steps // 10),
            beta2=0.99,
            weight_decay=0.0,
            clip=1.0,
            seed=seed,
            device=self.device,
            workers="1",
            branch=len(self.divisors) > 1,
            # No evaluation in the middle of a run: it would cost time.
            eval_every=steps,
            save_every=steps,
        )

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict) -> "Ladder":
        lists = {name: tuple(v) for name, v in record.items() if isinstance(v, list)}
        return cls(**{**record, **lists})


PRESETS = {
    "smoke": Ladder(
        name="smoke",
        layers=2,
        widths=(16, 24, 32, 40, 48),
        seeds=(1, 1, 1, 1, 1),
        held_out=72,
        tokens=1_500_000,
        lr=0.0085,
        budget=60,
    ),
    "demo": Ladder(
        name="demo",
        layers=3,
        widths=(16, 24, 32, 48, 64),
        seeds=(3, 3, 3, 2, 2),
        held_out=96,
        held_out_seeds=2,
        tokens=4_000_000,
        lr=0.0075,
        budget=300,
    ),
    "hour": Ladder(
        name="hour",
        layers=3,
        widths=(16, 24, 32, 48, 64, 96),
        seeds=(3, 3, 3, 3, 2, 2),
        held_out=128,
        held_out_seeds=2,
        tokens=8_000_000,
        lr=0.0075,
        budget=3600,
        enough_tokens=4_000_000,
        divisors=DIVISORS,
        rates=RATES,
    ),
    "gpu": Ladder(
        name="gpu",
        layers=6,
        widths=(64, 96, 128, 192, 256, 384),
        seeds=(3, 3, 2, 2, 1, 1),
        held_out=512,
        tokens=64_000_000,
        lr=0.0075,
        budget=3600,
        enough_tokens=16_000_000,
        context=256,
        batch=32,
        untrained=(),
        divisors=DIVISORS,
        rates=RATES,
        device="cuda",
    ),
}


def named(name: str) -> Ladder:
    """The named ladder. Raises UsageError listing the names there are."""
    if name not in PRESETS:
        raise UsageError(f"unknown preset {quoted(name)}{guess(name, PRESETS)}")
    return PRESETS[name]


def architecture(objective: str, arch: str | None) -> str:
    """The architecture of a series: the given one, or the objective's first. Raises
    UsageError for an unknown objective, and for one that it cannot be trained with."""
    # Windows of one text alone: rows and passages are of unequal lengths, so that equal
    # tokens would be unequal work.
    known = [name for name, of in OBJECTIVES.items() if of.kind == "windows"]
    if objective not in known:
        raise UsageError(
            f"objective {objective!r}: a series has one of {', '.join(known)}"
        )
    arch = arch or architectures_for(objective)[0]
    check_arch(arch, objective, known)
    return arch


def options(preset: str, model: dict | None = None, **given) -> dict:
    """The options of `minillm scale` for a series, without unknown and default values.

    model: that of its ladder; given: budget, data, objective, arch, seed.
    """
    objective = given.get("objective") or "clm"
    default = {
        "budget": PRESETS[preset].budget if preset in PRESETS else None,
        "data": "stdlib",
        "objective": "clm",
        "arch": architecture(objective, None),
        "seed": 0,
    }
    named = {k: v for k, v in given.items() if v not in (None, default[k])}
    return {"preset": preset, **named, "set": written(model or {})}


def command(folder: str | os.PathLike, options: dict) -> str:
    """The command line that starts or goes on with a series."""
    words = []
    for name, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            words += [f"--{name}", str(each)]
    return shlex.join(["minillm", "scale", *words, "--out", str(folder)])


def heads(width: int) -> int:
    """Those of a model of this width in a series."""
    return default_heads(width, HEAD_WIDTH)
