"""Planted bugs: (text of the solution, what stands there instead, kind)."""

LOSS = "-xp.where(one_hot, log_p, 0).sum() / n"
PULL = "(xp.exp(log_p) - one_hot) * kept * (g / n)"
AT_LAST = "-xp.take_along_axis(log_p, targets[..., None], -1).sum() / n"

BUGS = [
    (LOSS, LOSS[1:], "sign"),
    (LOSS, "-xp.where(one_hot, log_p, 0).sum()", "scale"),
    (LOSS, "-xp.where(one_hot, log_p, 0).sum() / targets.size", "padding"),
    (LOSS, AT_LAST, "padding"),
    (LOSS, "-xp.where(one_hot, log_p, 0).sum() / xp.maximum(kept.sum(), 1)", "scale"),
    (LOSS, "-xp.where(one_hot, xp.log2(xp.exp(log_p)), 0).sum() / n", "factor"),
    (LOSS, "-xp.where(one_hot, xp.exp(log_p), 0).sum() / n", "value"),
    ("log_softmax.rule(logits)", "xp.log(xp.exp(logits)), 0", "value"),
    (PULL, "(xp.exp(log_p) - one_hot) * (g / n)", "extra terms"),
    (PULL, "(xp.exp(log_p) - one_hot) * kept * g", "scale"),
    (PULL, "(one_hot - xp.exp(log_p)) * kept * (g / n)", "sign"),
    (PULL, "(xp.exp(log_p) - one_hot) * kept / n", "ignores g"),
    (PULL, "xp.exp(log_p) * kept * (g / n)", "elements"),
    (PULL, "(one_hot - 2.0 * one_hot) * kept * (g / n)", "missing terms"),
    (LOSS, "-xp.where(one_hot, log_p.astype('float64'), 0).sum() / n", "float64"),
]
