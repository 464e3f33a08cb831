"""Gradient check: a pullback against central differences of the function itself.

For a function f, a direction v of its input and weights u of its output, the pullback
must satisfy ⟨pullback(u), v⟩ = d/dt ⟨u, f(x + t·v)⟩ at t = 0. The right-hand side is
measured by central differences (`slopes.py`), which say how exact they are, along a few
random directions (`directions.py`), however large x is. What is wrong with a gradient
is looked for afterwards (`diagnosis.py`).
"""

import copy
from collections.abc import Callable

import numpy as np

from minillm.testing import diagnosis
from minillm.testing.directions import groups, median, reach_of
from minillm.testing.faults import CheckError, UndecidedError
from minillm.testing.point import Point
from minillm.testing.slopes import STEP, Difference, Line

# The steps tried first, since most functions need no others: where the gradient is
# zero nothing need bend, and a long step sees more.
USUAL, USUAL_AT_ZERO = (STEP, 100 * STEP), (0.01,)
PRECISION = 5e-4  # the part of a slope to which it must be known
# A slope this small need not be known at all to that part: where all are zero in
# theory, as those of a softmax over one number, rounding is all there is to see.
SMALL = 1e-3
SPLITS = 50  # of groups that move over kinks


def check_gradients(
    fn: Callable,
    *arrays,
    elements: bool = False,
    tolerance: float = 1e-6,
    seed: int = 0,
    **settings,
) -> float:
    """Check the gradient of `fn(*arrays, **settings)` with respect to each array.

    `fn` takes Tensors and returns one: an op, a layer, or a function of your own. The
    arrays (anything `np.array` takes; None is handed on) become float64 Tensors on the
    chosen device; arrays among the settings are moved there. Each input is checked by
    itself along random directions, with `elements=True` along every axis instead.

    Returns the largest error found, relative to the slope. Raises CheckError where an
    error exceeds `tolerance` and what the differences may be off, and UndecidedError, a
    CheckError, where rounding hides more than 1/2000 of the slopes (x² + 1e12): then a
    wrong gradient would pass too. Where every step leaves the domain, it says so. The
    error has a `kind` (`faults.py`), and shows the slopes that are most wrong. A kind
    other than "wrong" is what was seen, in up to 64 elements everywhere, of more in
    some; "scale" is a factor that a length explains, never 2 or 1/2, which others do.

    On its first run each op gets read-only views: one that writes into what it is given
    is of kind "write", of "shared" if it writes into a gradient that it has returned.
    What NumPy raises in a rule comes through, with a note of op, argument and shapes.

    What is found: a slope that is wrong by 1e-5 of itself where all are, by 1e-3 if the
    values are 10⁷ times the slopes; one wrong slope among n if it is wrong by 3e-6·√n
    of itself (one of a million: by 0.3 %), however small its element is, unless it
    cannot be seen: a change of the element by itself must change the value by more than
    a few thousand roundings (in a sum, of the sum), or its slope be above 5e-7. At a
    kink (relu at 0, max of equal numbers) any slope between those of both sides passes.

    Measured on 47 functions, inputs and seeds other than those of the tests (two of the
    functions led to a mend of the check, made on further seeds): of 3,900 right
    gradients 0.2 % were called wrong (cos of 10¹²; what loses digits inside of itself,
    as 1 + tanh does at −6) and 1.1 % undecided (x⁴ − 10⁷, where x⁴ is no larger
    than the rounding). Of 8,100 wrong ones (factor, sign, order, 1/n, one slope; by
    3e-4 at least) 2.7 % passed, most where a function is flat; of those that can be
    seen, 0.4 %, most of them one slope in 800 that changes the value far less than the
    others. Of 10⁵ and 10⁶ numbers, at scales from 1e-6 to 1e8: 43 right gradients of 6
    functions passed, and 99 wrong ones (1 %, sign, one slope of 0) were all found.
    """
    check = _Check(fn, arrays, settings, tolerance, seed)
    return max(
        (
            check.input(i, elements)
            for i, x in enumerate(check.inputs)
            if x is not None and x.size
        ),
        default=0.0,
    )


class _Check(Point):
    """A function at one point, with random weights u for its output."""

    def __init__(self, fn, arrays, settings, tolerance, seed):
        super().__init__(fn, arrays, settings, seed)
        self.tolerance = tolerance
        self.whole = self  # of `only` a part

    def only(self, chosen: np.ndarray) -> "_Check":
        """The same check for some of the numbers that fn gives."""
        part = copy.copy(self)
        part.u = np.where(chosen, self.u, 0)
        part.gradients = self.pulled(part.u)
        return part

    def input(self, i: int, elements: bool) -> float:
        """The largest error of the slopes of one input; raises CheckError."""
        x, gradient = self.inputs[i].ravel(), self.gradients[i].ravel()
        for array, whose in ((x, "the input"), (gradient, "the pullback")):
            for place in np.flatnonzero(~np.isfinite(array))[:1]:
                raise CheckError(
                    f"{self.name}: the gradient with respect to "
                    f"{self.element_name(i, place)} cannot be right: {whose} says "
                    f"{array[place]} there",
                    "not finite",
                )
        reach, worst = reach_of(x), 0.0
        usual = median(np.abs(gradient) * reach)
        if elements:
            for place in range(x.size):
                where = self.element_name(i, place)
                error, _ = self.error(i, [place], reach[place], where, usual)
                worst = max(worst, error)
            return worst
        name, splits = self.input_name(i), 0
        waiting = [*groups(x, gradient, reach)]
        while waiting:
            places, moves = waiting.pop()
            # The steepest of three: where slopes cancel by chance, so may their errors.
            drawn = [moves * self.random(moves.shape) for _ in range(3)]
            steep = max(drawn, key=lambda one: abs((one * gradient[places]).sum()))
            where = f"{name} along a random direction"
            error, kink = self.error(i, places, steep, where, usual)
            worst = max(worst, error)
            if kink and not splits:
                # Equal numbers that move alike stay equal: max has no kink this way.
                self.error(i, slice(None), reach, f"{name} along itself", usual)
            if kink and len(places) > 1 and splits < SPLITS:
                # Between the slopes of both sides of a kink a wrong one would hide.
                splits += 1
                waiting += [(places[k::2], moves[k::2]) for k in (0, 1)]
        return worst

    def error(self, i: int, places, moves, where: str, usual: float):
        """The error of one slope, relative to it, and whether there is a kink.

        The elements at `places` move, by `moves` at most; `usual` is by how much most
        elements of this input would change the value so: a slope far smaller than that
        need not be known to a part of itself.
        """
        x, move = self.inputs[i], np.zeros(self.inputs[i].size)
        move[places] = moves
        line = Line(
            *(self.alone(i), x, self.value, self.u),
            *(self.gradients[i], move.reshape(x.shape)),
        )
        least = max(usual / line.reach, SMALL)

        def slope(found: Difference) -> float:
            # What errors are relative to. Never the sum alone: in it, slopes cancel.
            return max(line.together, abs(line.pulled), abs(line.pulled + found.gap))

        def agrees(found: Difference, exact: float) -> bool:
            """And known to such a part of itself, so that a wrong one would not."""
            allowed = self.tolerance * slope(found) + found.kink + found.doubt
            sure = found.doubt <= exact * max(slope(found), least)
            unseen = line.unseen if line.unseen <= PRECISION * least else 0.0
            return sure and abs(found.gap) <= allowed + unseen + line.residue()

        for part in USUAL if line.together else USUAL_AT_ZERO:
            found = line.usual(part)
            if agrees(found, 10 * self.tolerance):
                break
        else:
            found = line.best()
        if not agrees(found, PRECISION):
            if np.any(line.still & (self.u != 0)):  # those that move say more alone
                self.only(~line.still).error(i, places, moves, where, usual)
            self._complain(i, where, line, found, slope(found))
        error = max(0.0, abs(found.gap) - found.kink) / max(slope(found), least)
        return error, found.kink > 0

    def _complain(self, i, where, line, found, slope) -> None:
        about = f"{self.name}: the gradient with respect to {where}"
        if not np.isfinite(found.gap):
            raise CheckError(
                f"{about} cannot be checked: central differences say nan, since every "
                f"step left the domain of the function",
                "domain",
            )
        says = (
            f"the pullback says {line.pulled:.9g}, central differences say "
            f"{line.pulled + found.gap:.9g}"
        )
        error = max(0.0, abs(found.gap) - found.kink)
        doubt = found.doubt + line.unseen
        single = diagnosis.is_single(self.value) and not any(
            diagnosis.is_single(x) for x in self.inputs if x is not None
        )
        if single:
            raise UndecidedError(
                f"{about} cannot be decided: float32 inside: every number of its value "
                f"is one of float32",
                "float32",
            )
        if error > self.tolerance * slope + doubt:
            kind, why = diagnosis.explain(self.whole, i, self._worst(i, line))
            raise CheckError(
                f"{about} is wrong: {says} (relative error {error / slope:.1e}, "
                f"tolerance {self.tolerance:.0e}){why}",
                kind,
            )
        raise UndecidedError(
            f"{about} cannot be decided: {says}, give or take {doubt:.1e}, since "
            f"the value is rounded: check smaller values, or fewer added together"
        )

    def _worst(self, i: int, line: Line) -> int:
        """An element that is wrong, found by halves."""
        moves = STEP * line.reach * line.v.ravel()

        def gap(places) -> float:
            step = np.zeros(line.x.shape)
            step.flat[places] = moves[places]
            change = line.at(line.x + step) - line.at(line.x - step)
            return abs(
                float((self.u * change).sum() / 2 - (line.gradient * step).sum())
            )

        places = np.flatnonzero(moves)
        while len(places) > 1:
            one, two = places[::2], places[1::2]
            places = two if gap(two) > gap(one) else one
        return int(places[0])
