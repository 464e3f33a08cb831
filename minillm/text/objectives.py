"""Objectives: what a model has to predict, as a function from windows to a batch."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minillm.errors import UsageError
from minillm.text.template import MASK
from minillm.text.tokenizer import Tokenizer

IGNORED = -1


@dataclass(frozen=True, eq=False)
class Batch:
    """What every objective hands to a model.

    `ids` (B, T) int32 go in. `targets` (B, T) int32 are to be predicted, IGNORED where
    no loss is taken; `n_targets` counts the others. `mask` (B, T) bool is False at
    padding, None where there is none. A shard keeps the `n_targets` of the whole batch,
    so that the losses of all shards add up to its mean; `first_row` is the place of its
    first sequence in the whole batch.
    """

    ids: np.ndarray
    targets: np.ndarray
    n_targets: int
    first_row: int = 0
    mask: np.ndarray | None = None

    def shard(self, rank: int, n: int) -> "Batch":
        """Share `rank` of `n` nearly equal shares: rows as views."""
        rows = slice(rank * len(self.ids) // n, (rank + 1) * len(self.ids) // n)
        return Batch(
            ids=self.ids[rows],
            targets=self.targets[rows],
            n_targets=self.n_targets,
            first_row=self.first_row + rows.start,
            mask=None if self.mask is None else self.mask[rows],
        )


def causal(
    windows: np.ndarray, *, rng: np.random.Generator, tokenizer: Tokenizer
) -> Batch:
    """Predict each token from those before it: (B, T+1) int32 -> (B, T).

    The objective of GPT (Radford et al. 2018). Draws nothing from `rng`.
    """
    ids = np.ascontiguousarray(windows[:, :-1])
    targets = np.ascontiguousarray(windows[:, 1:])
    return Batch(ids, targets, n_targets=targets.size)


def masked(
    windows: np.ndarray, *, rng: np.random.Generator, tokenizer: Tokenizer
) -> Batch:
    """Restore hidden tokens from both sides: (B, T+1) int32 -> (B, T), the first T.

    BERT's masked language model (Devlin et al. 2019, section 3.1): each position is
    chosen with probability 0.15; of the chosen, 80 % become [MASK], 10 % a random
    token, 10 % stay. A special token is never chosen nor drawn. A batch can end up with
    nothing chosen. Raises UsageError where the tokenizer has no [MASK].
    """
    if MASK not in tokenizer.specials:
        raise UsageError(f"the masked objective needs a tokenizer with a {MASK} token")
    tokens = windows[:, :-1]
    special = np.isin(tokens, list(tokenizer.specials.values()))
    chosen = (rng.random(tokens.shape) < 0.15) & ~special
    fate = rng.random(tokens.shape)
    random_tokens = rng.choice(tokenizer.ordinary_ids, tokens.shape)
    ids = np.where(chosen & (fate < 0.8), np.int32(tokenizer.specials[MASK]), tokens)
    ids = np.where(chosen & (fate >= 0.8) & (fate < 0.9), random_tokens, ids)
    targets = np.where(chosen, tokens, np.int32(IGNORED))
    return Batch(ids, targets, n_targets=int(chosen.sum()))


Objective = Callable[..., Batch]

OBJECTIVES: dict[str, Objective] = {"clm": causal, "mlm": masked}
