"""Objectives: what a model has to predict, as a function from windows to a batch."""

from collections.abc import Callable

import numpy as np

from minillm.errors import UsageError
from minillm.text.batch import IGNORED, Batch
from minillm.text.tokenizer import Tokenizer

MASK = "[MASK]"


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
