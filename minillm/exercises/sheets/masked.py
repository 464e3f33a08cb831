"""Exercise: which tokens BERT hides, and what it hides them behind."""

import numpy as np

from minillm.exercises import looking
from minillm.exercises.exercise import Cut, Exercise, Failure
from minillm.text import Batch, train_tokenizer
from minillm.text.batch import IGNORED

SHAPE = (400, 60)
NOISE = 0.02  # of a share of thousands of draws: four standard deviations and more

exercise = Exercise(
    name="masked",
    title="the masked objective: 80, 10, 10",
    task="""
    A masked model restores tokens that were hidden (Devlin et al. 2019, section 3.1).
    `hide` gets a batch with ids (B, T) and returns it with some of them hidden. What
    stands above the blank: `tokens` (B, T), `special` (True where a token is a special
    one, as [CLS] or padding), and `draws`, a number from 0 to 1 for each place.

    1. A place is chosen with probability MASKED_SHARE (0.15), by its draw. A special
       token is never chosen.

    2. A chosen token becomes [MASK] with probability HIDDEN (0.8), a random token with
       probability EXCHANGED (0.1), or stays as it is. Draw again: `rng.random`. MASK is
       the name; the token's number is `tokenizer.specials[MASK]`. Random tokens are
       drawn among `tokenizer.ordinary_ids`, by `rng.choice`, one for each place.

    3. The targets are the *old* tokens where a place was chosen, also where the token
       stays, and IGNORED everywhere else. `n_targets` counts the chosen places.

    Return the batch by `replace(batch, ids=…, targets=…, n_targets=…)`. The given ids
    are not written into.
    """,
    read="""the tour, stop 5; Devlin et al. 2019, section 3.1; `causal` in
    minillm/text/objectives.py.""",
    cut=Cut("minillm.text.objectives", {"hide": "chosen ="}),
    hints=(
        "Two draws for each place: the first says whether it is chosen, the second "
        "what becomes of it. A chosen place has a first draw below 0.15, so that this "
        "draw could not be above 0.8: draw again.",
        "np.where(condition, a, b) takes a where the condition is True. Three cases "
        "are two of these, one after the other.",
        "hidden = chosen & (fate < HIDDEN); exchanged = chosen & ~hidden & (fate < "
        "HIDDEN + EXCHANGED); targets=np.where(chosen, tokens, np.int32(IGNORED))",
    ),
    forbidden=("masked", "next_sentence"),
)


def tokenizer():
    text = "abcdefghijklmnopqrstuvwxyz "
    return train_tokenizer("chars", text, specials=("[PAD]", "[MASK]", "[CLS]"))


def hidden(student, seed: int):
    """(tokenizer, ids before, the batch afterwards)."""
    of = tokenizer()
    rng = np.random.default_rng(seed)
    ids = rng.choice(of.ordinary_ids, SHAPE).astype(np.int32)
    ids[:, 0] = of.specials["[CLS]"]
    ids[: SHAPE[0] // 2, -10:] = of.specials["[PAD]"]
    kept = ids.copy()
    found = student.hide(Batch(ids), np.random.default_rng(seed + 1), of)
    if not np.array_equal(ids, kept):
        raise Failure("write", "The ids that were given are written into.")
    for name in ("ids", "targets"):
        array = getattr(found, name, None)
        if not isinstance(array, np.ndarray) or array.shape != SHAPE:
            raise Failure("shape", f"{name} of the batch is no array of shape (B, T)")
        if array.dtype != np.int32:
            raise Failure("type", f"{name} has type {array.dtype}; ids are int32")
    return of, kept, found


def near(share: float, expected: float, what: str) -> None:
    if abs(share - expected) > NOISE:
        raise Failure("value", f"{what}: a share of {share:.3f}, expected {expected:g}")


@exercise.property(points=2)
def chosen_share(student):
    """15 % of the ordinary tokens are chosen, and no special one."""
    of, before, batch = hidden(student, 1)
    chosen = batch.targets != IGNORED
    special = np.isin(before, [*of.specials.values()])
    if chosen.all():
        raise Failure(
            "extra terms", "Every place has a target: only chosen ones are predicted."
        )
    if (chosen & special).any():
        raise Failure("extra terms", "Special tokens (padding, too) are chosen.")
    near(chosen[~special].mean(), 0.15, "chosen places")


@exercise.property(points=2)
def old_tokens_as_targets(student):
    """The targets are the tokens that stood there before."""
    _, before, batch = hidden(student, 2)
    chosen = batch.targets != IGNORED
    if np.array_equal(batch.targets[chosen], batch.ids[chosen]):
        raise Failure(
            "order", "The targets are what stands there now: nothing is to be restored."
        )
    looking.equal(batch.targets[chosen], before[chosen], "the targets")
    if (wrong := (batch.ids != before) & ~chosen).any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise Failure(
            "missing terms", f"the token at {place} is changed, not predicted"
        )


@exercise.property(points=1)
def count(student):
    """n_targets counts the chosen places."""
    _, _, batch = hidden(student, 3)
    n = int((batch.targets != IGNORED).sum())
    if batch.n_targets != n:
        raise Failure("value", f"n_targets is {batch.n_targets}; {n} are chosen")


@exercise.property(points=3)
def eighty_ten_ten(student):
    """Of the chosen tokens 80 % become [MASK], 10 % a random one, 10 % stay."""
    of, before, batch = hidden(student, 4)
    chosen = batch.targets != IGNORED
    ids, old = batch.ids[chosen], before[chosen]
    masks = ids == of.specials["[MASK]"]
    n = len(of.ordinary_ids)
    near(masks.mean(), 0.8, "[MASK] among the chosen")
    # One in n random tokens is the old one by chance.
    near((ids == old).mean(), 0.1 + 0.1 / n, "unchanged among the chosen")
    others = ids[~masks & (ids != old)]
    near(len(others) / len(ids), 0.1 * (1 - 1 / n), "exchanged among the chosen")
    if np.isin(others, [*of.specials.values()]).any():
        raise Failure("value", "A special token is drawn as a random one.")
    if len(set(others.tolist())) < n - 3:
        raise Failure("value", "Random tokens are not drawn anew for each place.")


@exercise.property(points=1)
def two_draws(student):
    """What becomes of a token has nothing to do with the draw that chose it."""

    class Counted:
        """A generator whose calls are counted."""

        def __init__(self, seed):
            self.rng, self.calls = np.random.default_rng(seed), 0

        def random(self, shape=None):
            self.calls += 1
            return self.rng.random(shape)

        def __getattr__(self, name):
            return getattr(self.rng, name)

    of, rng = tokenizer(), Counted(5)
    ids = np.random.default_rng(5).choice(of.ordinary_ids, SHAPE).astype(np.int32)
    student.hide(Batch(ids), rng, of)
    if rng.calls < 2:
        raise Failure("random", "One draw serves for the choice and for the fate.")
    once, again = (
        student.hide(Batch(ids), np.random.default_rng(6), of).ids for _ in range(2)
    )
    if not np.array_equal(once, again):
        raise Failure("random", "The same rng gives another result: draw from `rng`.")
