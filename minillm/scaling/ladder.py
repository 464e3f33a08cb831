"""The ladder: the sizes of a series, and with which settings each is trained."""

from dataclasses import asdict, dataclass

from minillm.errors import UsageError
from minillm.training.config import TrainConfig

HEAD_WIDTH = 16
FEWEST_WIDTHS = 4  # E, A and alpha, and one more


@dataclass(frozen=True)
class Ladder:
    """A series of models that differ in width alone.

    Every model reads the same number of tokens, none twice, at a learning rate that
    depends on its width: a difference in loss is then a difference in size. The law is
    fitted to `widths` and has to predict `held_out`.
    """

    name: str
    layers: int
    widths: tuple[int, ...]
    seeds: tuple[int, ...]  # how often each width is trained, where time allows
    held_out: int
    tokens: int  # for each model
    lr: float  # peak, at width 32
    budget: float  # seconds for everything on two cores
    least_tokens: int = 1_000_000
    context: int = 64
    batch: int = 16
    warmup: int = 100  # steps
    untrained: tuple[int, ...] = (128, 256, 384, 512)  # timed only, when decoding

    def __post_init__(self):
        if len(set(self.widths)) < FEWEST_WIDTHS:
            raise UsageError(
                f"{len(set(self.widths))} widths, but a law of three unknowns needs "
                f"{FEWEST_WIDTHS}"
            )
        if len(self.seeds) != len(self.widths) or min(self.seeds) < 1:
            raise UsageError("seeds: give a number from 1 for each of the widths")
        if self.held_out <= max(self.widths):
            raise UsageError(f"the held-out width {self.held_out} must be the largest")

    @property
    def tokens_per_step(self) -> int:
        return self.batch * self.context

    def whole_steps(self, tokens: float) -> int:
        """The most tokens up to these that fill whole steps."""
        return int(tokens // self.tokens_per_step) * self.tokens_per_step

    def config(
        self, width: int, *, data: str, tokenizer: str, tokens: int, seed: int
    ) -> TrainConfig:
        """How one model is trained, but for where it is written.

        Matrices N(0, 1/fan in), no bias, no decay; AdamW; 100 steps of warm-up, a
        constant rate, and the last fifth linear to 0. A rate that falls with width as
        d^(−0.8) was the best at both ends of the series.
        """
        steps = max(1, tokens // self.tokens_per_step)
        return TrainConfig(
            layers=self.layers,
            width=width,
            heads=heads(width),
            context=self.context,
            arch="gpt",
            tied=False,
            bias=False,
            init="fan_in",
            data=data,
            tokenizer=tokenizer,
            vocab=98 if tokenizer == "chars" else None,
            batch=self.batch,
            steps=steps,
            lr=self.lr * (32 / width) ** 0.8,
            schedule="wsd",
            warmup=min(self.warmup, steps // 10),
            beta2=0.99,
            weight_decay=0.0,
            clip=1.0,
            seed=seed,
            device="cpu",
            workers="1",
            # The middle of a run is not looked at: it would cost time.
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
        tokens=4_000_000,
        lr=0.0075,
        budget=300,
    ),
}


def named(name: str) -> Ladder:
    """The named ladder. Raises UsageError listing the names there are."""
    if name not in PRESETS:
        names = ", ".join(PRESETS)
        raise UsageError(f"unknown preset {name!r}: choose one of {names}")
    return PRESETS[name]


def heads(width: int) -> int:
    """As many heads as divide the width into parts of about 16."""
    divisors = [n for n in range(1, width + 1) if width % n == 0]
    return min(divisors, key=lambda n: abs(n * HEAD_WIDTH - width))
