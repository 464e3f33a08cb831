"""Branches of a series: its laws of tokens, and the checks of its learning rate."""

from dataclasses import asdict, dataclass
from functools import cached_property

from minillm.laws.fitting import fit
from minillm.laws.law import LawFit
from minillm.series.plan import Plan
from minillm.series.points import Point, Size, fit_medians, in_transition

FEWEST = 4  # lengths: E, B and beta, and one more
FEWEST_BOTH = 8  # points: E, A, alpha, B and beta, and some more
# A smaller gain of a loss is as likely to be noise.
BETTER = 0.005


@dataclass(frozen=True)
class RateCheck:
    """The loss of one width at several factors of the usual learning rate."""

    width: int
    tokens: int
    lr: dict[float, float]  # by factor
    losses: dict[float, float]

    @property
    def best(self) -> float:
        return min(self.losses, key=self.losses.get)

    @property
    def gain(self) -> float:
        """The relative gain of the best rate over the usual one."""
        return 1 - self.losses[self.best] / self.losses[1.0]

    @property
    def warning(self) -> str | None:
        """A sentence, where the best rate is at the edge of those tried."""
        edges = min(self.losses), max(self.losses)
        if self.best not in edges or self.gain < BETTER:
            return None
        return (
            f"width {self.width}: {self.best:g} times the rule's learning rate is "
            f"{self.gain:.1%} better after {self.tokens:,} tokens, and at the edge of "
            f"what was tried: the rule may be wrong for this text, and the exponent "
            f"with it"
        )

    def to_json(self) -> dict:
        return {**asdict(self), "best": self.best, "gain": self.gain}


class Branches:
    """The laws of tokens of a series, from the sizes at every length.

    points: those that laws are fitted to; sizes: their medians by width and length.
    count: the way of counting parameters.
    """

    def __init__(self, plan: Plan, points: list[Point], sizes: list[Size], count: str):
        self.plan = plan
        self.points = points
        self.count = count
        fitted = [size for size in sizes if not size.held_out]
        self.too_early = in_transition(fitted)
        self.sizes = [s for s in fitted if (s.width, s.tokens) not in self.too_early]

    @cached_property
    def of_tokens(self) -> LawFit | None:
        """L(D) = E + A·D^(−alpha) of the widest fitted model."""
        widest = max(size.width for size in self.sizes)
        same = [size for size in self.sizes if size.width == widest]
        if len(same) < FEWEST:
            return None
        columns = {
            "D": [size.tokens for size in same],
            "loss": [size.loss for size in same],
            "trunk": [size.width for size in same],
        }
        return fit(columns, "D", loss="lsq", group="trunk")

    @cached_property
    def of_both(self) -> LawFit | None:
        """L(N, D) = E + A/N^alpha + B/D^beta.

        The points of one width are branches of the same trunks and share noise.
        """
        lengths = {size.tokens for size in self.sizes}
        if len(lengths) < 3 or len(self.sizes) < FEWEST_BOTH:
            return None
        columns = {
            "N": [size.parameters[self.count] for size in self.sizes],
            "D": [size.tokens for size in self.sizes],
        }
        return fit_medians(self.sizes, columns, group="N")

    @cached_property
    def rate_checks(self) -> list[RateCheck]:
        found = []
        for width in self.plan.ladder.rate_widths if self.plan.ladder.rates else ():
            tried = [
                p for p in self.points if p.run.width == width and not p.run.repeat
            ]
            tokens = {p.tokens for p in tried if p.run.rate != 1}
            same = [p for p in tried if p.tokens in tokens]
            losses = {p.run.rate: p.loss for p in same}
            if 1.0 in losses and len(losses) > 2:
                lr = {p.run.rate: p.record["options"]["lr"] for p in same}
                found.append(RateCheck(width, tokens.pop(), lr, losses))
        return found

    def warnings(self) -> list[str]:
        found = [check.warning for check in self.rate_checks if check.warning]
        found += dict.fromkeys(self.too_early.values())
        if self.of_both:
            found += self.of_both.warnings
        if self.of_tokens:
            more = [w for w in self.of_tokens.warnings if w not in found]
            found += [f"L(D): {warning}" for warning in more]
        return found

    def to_json(self) -> dict:
        """`branches`, `law_of_tokens`, `law_of_size_and_tokens`, `rate_checks`."""
        return {
            "branches": [asdict(size) for size in self.sizes],
            "law_of_tokens": self.of_tokens and self.of_tokens.to_json(),
            "law_of_size_and_tokens": self.of_both and self.of_both.to_json(),
            "rate_checks": [check.to_json() for check in self.rate_checks],
        }
