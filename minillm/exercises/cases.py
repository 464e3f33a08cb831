"""Random inputs of a property, and the smallest on which it fails.

Hypothesis draws them and makes what fails smaller. The same seed gives the same inputs,
and so the same marks and the same words.
"""

import contextlib
import copy
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minillm.exercises.exercise import Failure
from minillm.testing.choices import ANYWHERE, Choices, Domain

AT_ONCE = {"unsolved", "absent", "imported"}  # one failure says it, as any other would
VAGUE = {"wrong", "value", "error", "shape", "elements", "type"}


@dataclass(frozen=True)
class Search:
    """How long to look at what fails."""

    failures: int = 12  # to tell the kind
    steps: int = 60  # towards a smaller case


THOROUGH = Search()


class Cases(Choices):
    """Choices of inputs, with numbers that a person can read."""

    def __init__(self, integer: Callable[[int, int], int]):
        super().__init__(integer)
        self.calls = 0

    def numbers(self, shape: tuple, domain: Domain = ANYWHERE) -> np.ndarray:
        """float64, of one decimal and never 0; of more where all are distinct."""
        x = super().numbers(shape, domain)
        if domain.distinct:
            return x
        x = np.round(x, 1)
        return np.where(x == 0, 0.3, x)

    def generator(self) -> np.random.Generator:
        """Another one at each call: two arrays are never alike by chance."""
        self.calls += 1
        return np.random.default_rng([self.integer(0, 2**16), self.calls])

    def stretched(self) -> tuple[tuple, tuple]:
        """(full, shape): an array of this shape is stretched to the full one, along
        one axis at least."""
        full = tuple(self.integer(2, 4) for _ in range(self.integer(1, 3)))
        kept = full[self.integer(0, len(full)) :]
        shape = tuple(1 if self.integer(0, 1) else n for n in kept)
        return full, (1, *full[1:]) if shape == full else shape

    def seed(self) -> int:
        return self.integer(0, 2**16)


def smallest_failure(
    run: Callable[[dict], Failure | None],
    inputs: Callable[[Cases], dict],
    *,
    seed: int,
    examples: int,
    search: Search = THOROUGH,
) -> tuple[Failure, dict] | None:
    """What fails, on the smallest inputs found: (failure, inputs), or None.

    `run` gets a copy of the inputs. Of several kinds of failure the one that occurs
    most is followed; a vague one, and those of tiny inputs, where every mistake looks
    like a factor, count less.
    """
    occurred, seen = Counter(), Counter()
    first = {}

    def look(drawn: tuple, case: dict) -> bool:
        if (failure := run(copy.deepcopy(case))) is not None:
            occurred[failure.kind] += 1
            sizes = [x.size for x in case.values() if isinstance(x, np.ndarray)]
            small = max(sizes, default=3) < 3
            seen[failure.kind] += 1 / (1 + 2 * (failure.kind in VAGUE) + 2 * small)
            found = drawn, failure, case
            first[failure.kind] = min(
                first.get(failure.kind, found), found, key=lambda one: _size(one[0])
            )
        if occurred.total() == search.failures or AT_ONCE & occurred.keys():
            raise _Enough
        return False

    _draw(look, inputs, seed, examples, shrink=False)
    if not seen:
        return None
    kind = seen.most_common(1)[0][0]
    best, steps = first[kind], 0

    def follow(drawn: tuple, case: dict) -> bool:
        nonlocal best, steps
        if steps == search.steps:
            raise _Enough
        steps += 1
        failure = run(copy.deepcopy(case))
        if failure is None or failure.kind != kind:
            return False
        best = min(best, (drawn, failure, case), key=lambda one: _size(one[0]))
        return True

    if search.steps and kind not in AT_ONCE:
        _draw(follow, inputs, seed, examples, shrink=True)
    _, failure, case = best
    return failure, case


def _size(drawn: tuple) -> tuple:
    return len(drawn), drawn


class _Found(Exception):
    pass


class _Enough(BaseException):
    """Ends the drawing: Hypothesis lets it through, as it does Ctrl-C."""


def _draw(visit, inputs, seed: int, examples: int, *, shrink: bool) -> None:
    """Visit drawn inputs; those for which `visit` says so are made smaller."""
    import hypothesis
    from hypothesis import strategies

    # Kept here: Hypothesis would take what fails once, and then not, for chance.
    errors, visits = [], 0

    @contextlib.contextmanager
    def own():
        try:
            yield
        except Exception as error:
            if not type(error).__module__.startswith("hypothesis"):
                errors.append(error)
            raise

    @strategies.composite
    def drawing(draw):
        drawn = []

        def integer(low: int, high: int) -> int:
            drawn.append(draw(strategies.integers(low, high)))
            return drawn[-1]

        with own():
            return inputs(Cases(integer)), drawn

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=False,
        phases=[hypothesis.Phase.generate] + [hypothesis.Phase.shrink] * shrink,
        suppress_health_check=list(hypothesis.HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )
    @hypothesis.given(drawing())
    def test(found):
        nonlocal visits
        visits += 1
        case, drawn = found
        with own():
            wanted = visit(tuple(drawn), case)
        if wanted:
            raise _Found

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # What was found is known to `visit`.
        with contextlib.suppress(
            _Found, _Enough, hypothesis.errors.HypothesisException
        ):
            test()
    if errors:
        raise errors[0]
    assert visits, "no inputs were drawn"


def shown(value) -> str:
    """A value as a student would type it, short."""
    if isinstance(value, np.ndarray):
        text = np.array2string(
            value, precision=4, separator=", ", threshold=60, floatmode="maxprec"
        )
        return " ".join(text.split())
    return repr(value) if len(repr(value)) < 300 else repr(value)[:300] + " …"


def shown_case(case: dict) -> str:
    return ", ".join(f"{name} = {shown(value)}" for name, value in case.items())
