"""Planted bugs: (text of the solution, what stands there instead, kind)."""

FATE = "fate = rng.random(tokens.shape)"
EXCHANGED = "exchanged = chosen & ~hidden & (fate < HIDDEN + EXCHANGED)"
TARGETS = "np.where(chosen, tokens, np.int32(IGNORED))"

BUGS = [
    ("(draws < MASKED_SHARE) & ~special", "draws < MASKED_SHARE", "extra terms"),
    ("draws < MASKED_SHARE", "draws > MASKED_SHARE", "value"),
    ("draws < MASKED_SHARE", "draws < 2 * MASKED_SHARE", "value"),
    (FATE, "fate = draws", "value"),
    (FATE, "fate = np.random.random(tokens.shape)", "random"),
    (EXCHANGED, "exchanged = chosen & ~hidden", "value"),
    (EXCHANGED, "exchanged = chosen & (fate < HIDDEN + EXCHANGED)", "value"),
    ("chosen & (fate < HIDDEN)", "chosen", "value"),
    ("tokenizer.ordinary_ids, tokens.shape", "3, tokens.shape", "type"),
    (TARGETS, "tokens", "extra terms"),
    (TARGETS, "np.where(chosen, ids, np.int32(IGNORED))", "order"),
    (TARGETS, "np.where(hidden, tokens, np.int32(IGNORED))", "missing terms"),
    ("int(chosen.sum())", "tokens.size", "value"),
    ("int(chosen.sum())", "int(hidden.sum())", "value"),
    ("    chosen = (draws", "    tokens[0, 1] = 0\n    chosen = (draws", "write"),
]
