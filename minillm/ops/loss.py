"""Cross-entropy, the loss of every objective here, in nats.

The loss is a *sum* over the kept targets, those that are not IGNORED, divided by
`n_targets`, their number in the whole batch: shards of unequal counts then add up to
the whole's loss.

Where few targets are kept, as in a masked model, these ops do not see the other rows:
the model drops them before (`few_targets` in `models/language_model.py`).
"""

from minillm.backend import joint, xp
from minillm.backend.arrays import as_rows
from minillm.ops import checks
from minillm.ops.neural import log_softmax
from minillm.tensor import op
from minillm.text.batch import IGNORED


@op(check=checks.targets_fit)
def cross_entropy(logits, *, targets, n_targets: int | None = None):
    """−Σ log softmax(logits)[target] / n_targets over the kept targets.

    logits (..., V), targets (...) whole numbers, IGNORED where none -> scalar, nats per
    target. Without `n_targets` the kept targets are counted. No kept target: loss 0.
    """
    targets = xp.asarray(targets)
    kept = (targets != IGNORED)[..., None]  # (..., 1)
    if n_targets is None:
        n = xp.maximum(kept.sum(), 1).astype(logits.dtype)
    else:
        n = max(n_targets, 1)
    log_p, _ = log_softmax.rule(logits)  # (..., V)
    # Compared, not indexed: as an index, IGNORED (−1) would be the last token.
    one_hot = xp.arange(logits.shape[-1]) == targets[..., None]
    loss = -xp.where(one_hot, log_p, 0).sum() / n
    return loss, lambda g: (xp.exp(log_p) - one_hot) * kept * (g / n)


@op(check=checks.targets_fit_projection)
def linear_cross_entropy(x, weight, *, targets, n_targets: int | None = None):
    """The cross-entropy of logits x Wᵀ: output projection and loss in one op.

    x (..., D), weight (V, D), targets (...) -> scalar. As one op, so that a faster body
    need not keep the logits, by far the largest array of a small model.
    """
    rows, targets = as_rows(x), xp.asarray(targets).reshape(-1)
    logits = rows @ weight.T
    loss, pull_logits = cross_entropy.rule(logits, targets=targets, n_targets=n_targets)

    def pullback(g):
        gl = pull_logits(g)
        return (gl @ weight).reshape(x.shape), gl.T @ rows

    return loss, joint(pullback)
