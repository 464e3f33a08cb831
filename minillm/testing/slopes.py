"""Central differences: how steep is a function along a line, and how sure is that?

(f(x + h·v) − f(x − h·v)) / 2h errs by rounding, which grows as h shrinks, and by what f
bends, which grows with h. Both are measured: rounding from the size of f, bending from
a second step of 2h. A kink is where the slopes of both sides differ, whatever h is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

# Steps are parts of `reach`. A difference errs by about h² (bending) + ε/h (rounding):
# least at h = ∛ε.
STEP = float(np.cbrt(np.finfo(np.float64).eps))
TINY = 1e-9  # sees a pole or a kink that STEP steps over
# Where those two disagree, steps of all sizes are tried, SMALLEST to LARGEST. Shorter
# ones than BELIEVED only show how f jumps: x itself is rounded as coarsely.
SMALLEST, BELIEVED, LARGEST = 1e-15, 1e-12, 0.1
PROBE = 0.5  # what stays the same at this step does not depend on x
SURE = 6  # standard deviations: a sum of roundings stays below
FEW = 3  # times as many where the deviation itself is known from few jumps only
# Where f is looked at to see how it jumps, in parts of a step: at unequal distances.
PLACES = np.array([-1, -0.87, -0.53, -0.11, 0.17, 0.44, 0.67, 1])


@dataclass(frozen=True)
class Difference:
    """A measured slope and how far it is above the gradient's; how far the slopes of
    both sides of a kink are from it, how much it changes with the step, and how far it
    may be off in all. `hidden` where f stands still that moves with larger steps."""

    slope: float = math.nan
    gap: float = math.nan
    kink: float = 0.0
    bend: float = 0.0
    doubt: float = math.inf
    hidden: bool = False

    def contradicts(self, shorter: "Difference") -> bool:
        """Whether it differs from the difference of a shorter step by more than both
        may be off. A kink that the shorter step does not see lies farther off."""
        allowed = self.doubt + shorter.doubt + shorter.kink
        return abs(self.gap - shorter.gap) > allowed

    def reveals(self) -> bool:
        """Whether f clearly has a slope."""
        return not self.hidden and abs(self.slope) > 2 * (self.kink + self.doubt)


class Line:
    """⟨u, f(x + t·v)⟩ in t, held against the slope ⟨gradient, v⟩ that f should have.

    `at(x)` gives the array f(x), `value` is it here; x moves by `move` where t is
    `reach`, the largest number in it. `still` says which numbers of f(x) do not change,
    `unseen` how large a slope they may have all the same.
    """

    def __init__(self, at: Callable, x, value, u, gradient, move):
        self.at, self.x, self.value, self.u = at, x, value, u
        self.gradient = gradient
        self.reach = float(np.abs(move).max())
        self.v = move / self.reach
        self.pulled = float((gradient * self.v).sum())
        self.together = norm(gradient * self.v)
        self._rounding = np.abs(u) * np.spacing(np.abs(value))
        ends = [at(x + part * move) for part in (PROBE, -PROBE)]
        self.still = (ends[0] == value) & (ends[1] == value)
        # What stands still beside what moves does not depend on x, most likely; if it
        # does, rounding hides its slope.
        hides = np.where(self.still, self._rounding, 0.0)
        self.unseen = SURE * norm(hides) / (PROBE * self.reach)
        if not self.still.all():
            self._rounding = self._rounding - hides
        self._tiny = self.difference(TINY)

    def usual(self, part: float) -> Difference:
        """The difference of this step, unless a tiny one contradicts it: what bends
        within a step is not seen by it."""
        found = self.difference(part)
        return Difference() if found.contradicts(self._tiny) else found

    def best(self) -> Difference:
        """The most exact difference of steps of all sizes.

        Small steps come first: they err by rounding only. A larger one, which rounding
        troubles less, is believed as long as it does not contradict them (Lepski's
        rule). The gradient has no say in which one is chosen.

        Where small steps leave f as it is (`hidden`), they say nothing of its slope:
        the first step that shows one then counts for more than they do.
        """
        best = moving = Difference()  # moving: the best of those that are not hidden
        noise, least, part = 0.0, 0.0, SMALLEST
        # Next to large numbers tiny ones can be seen only by steps larger than they.
        longest = max(1.0, float(np.abs(self.x).max()))
        while part <= LARGEST or part * self.reach <= longest:
            if least == 0 and part >= BELIEVED:
                least = self.noise(part)
            found = self.difference(part, max(noise, least))
            jump = found.bend  # steps as small as these see no bending
            if best.hidden and noise == 0:
                # The first that moves f at all does so by one rounding inside of f.
                jump = max(jump, abs(found.slope))
                found = replace(found, doubt=found.doubt + SURE * jump)
            noise = max(noise, jump * part * self.reach)
            apart = found.contradicts(moving)
            if best.hidden and found.reveals() and not apart:
                best = found
            elif math.isfinite(best.doubt) and (
                found.doubt == math.inf or found.contradicts(best)
            ):
                if not best.hidden:
                    break
            elif found.doubt < best.doubt and part >= BELIEVED:
                best = found
            if not found.hidden and not apart and found.doubt < moving.doubt:
                moving = found
            part *= 10 if part < LARGEST else 1000
        # At the edge of a domain there are shorter steps only.
        return best if math.isfinite(best.doubt) else moving

    def difference(self, part: float, noise: float = 0.0) -> Difference:
        """With a step of this part of `reach`; `noise` is how much f was seen to jump
        at smaller steps, where it does not bend."""
        h = part * self.reach
        step = (self.x + h * self.v) - self.x  # as x + h·v is rounded
        (once, even, gap), (twice, even2, _) = (
            self._sides(step, h),
            self._sides(2 * step, 2 * h),
        )
        bend = norm(twice - once)
        if not math.isfinite(bend):
            return Difference()
        # The even parts are kink·h + bending·h² at h, 2·kink·h + 4·bending·h² at 2h.
        kinks = np.abs(4 * even - even2) / (4 * h)
        # Of many kinks (or roundings), some cancel: u has both signs.
        kink = min(float(kinks.sum()), SURE * norm(kinks))
        steps = np.where(self.still, max(h, PROBE * self.reach), h)
        jumps = FEW * max(noise / h, bend if part <= TINY else 0.0)
        doubt = SURE * max(norm(self._rounding / steps), jumps) + bend
        moved = (once != 0) | (even != 0) | (twice != 0) | (even2 != 0) | self.still
        return Difference(
            *(float(once.sum()), gap, kink if kink > doubt else 0.0, bend, doubt),
            hidden=not moved.all(),
        )

    def noise(self, part: float) -> float:
        """How much f jumps by rounding inside of it, which its size does not tell, as
        in log(1 + exp(x)) − x: the deviation, within this part of `reach`, from a
        parabola with a kink at x (after Moré & Wild 2011, section 3)."""
        rest = []
        for place in PLACES:
            there = self.x + part * self.reach * place * self.v
            change = (self.u * (self.at(there) - self.value)).sum()
            rest.append(float(change - (self.gradient * (there - self.x)).sum()))
        if not np.isfinite(rest).all():
            return 0.0
        smooth = np.stack([PLACES**0, PLACES, PLACES**2, np.abs(PLACES)], axis=1)
        rest -= smooth @ np.linalg.lstsq(smooth, rest)[0]
        return norm(rest) / math.sqrt(len(PLACES) - smooth.shape[1])

    def residue(self) -> float:
        """What rounding inside the pullback may leave of a gradient that is zero, as
        that of x / x - 1; 0 where f moves, which has a slope then."""
        if not self.still.all():
            return 0.0
        return SURE * np.finfo(self.value.dtype).eps * norm(self.u) / self.reach

    def _sides(self, step, h: float) -> tuple[np.ndarray, np.ndarray, float]:
        """The odd part of f as slopes, the even part, and the gap of slopes."""
        ahead, behind = self.x + step, self.x - step
        up, down = self.at(ahead) - self.value, self.value - self.at(behind)
        slopes = self.u * (up + down) / (2 * h)
        pulled = (self.gradient * ((ahead - behind) / (2 * h))).sum()
        return slopes, self.u * (up - down), float(slopes.sum() - pulled)


def norm(numbers: np.ndarray) -> float:
    """√Σx², without squares that are too large or too small for a float."""
    largest = float(np.abs(numbers).max(initial=0))
    if not 0 < largest < math.inf:
        return largest
    return largest * float(np.sqrt(np.square(numbers / largest).sum()))
