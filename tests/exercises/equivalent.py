"""Mutants that no check can tell from the solution, and why: (exercise, the statement
as it became, reason)."""

EQUIVALENT = [
    *(
        ("cache", words, "who keeps all rows in their order is spared a copy, no more")
        for words in (
            "if old is None:",
            "if old is None and np.array_equal(rows, np.arange(len(old))):",
        )
    ),
    (
        "cache",
        "if old is None or np.array_equal(np.arange(len(old)), rows):",
        "equal is equal the other way round",
    ),
    (
        "cache",
        "if np.array_equal(rows, np.arange(len(old))):",
        "a cache of keys and values has no array that is None",
    ),
    *(
        ("cache", words, "the rows are an array already, and on the host the device's")
        for words in (
            "rows = rows",
            "pass  # rows = np.asarray(rows)",
            "self._used(new)[...] = self._used(old)[rows]",
        )
    ),
    (
        "unbroadcast",
        "return g.sum((*stretched, *range(leading))).reshape(shape)",
        "a sum does not depend on the order in which its axes are named",
    ),
    ("backward", "return (g, False)", "one copy more: the numbers are the same"),
    ("backward", "return (g + part, False)", "one copy more: the numbers are the same"),
    (
        "softmax",
        "e = xp.exp(x - xp.where(largest == -math.inf, 1, largest))",
        "−∞ less any number is −∞",
    ),
    (
        "softmax",
        "e = xp.exp(x - xp.where(largest == -math.inf, -1, largest))",
        "−∞ less any number is −∞",
    ),
    ("softmax", "y = e / xp.where(total == 0, 2, total)", "0 / 2 is 0 as 0 / 1 is"),
    ("gelu", "squared = xp.minimum(x * x, 99)", "from |x| = 9 on tanh is 1"),
    ("gelu", "squared = xp.minimum(x * x, 101)", "from |x| = 9 on tanh is 1"),
    (
        "dropout",
        "kept = hashed_uniform(x.shape, key, first_row) > int(rate * 2 ** 32)",
        "differs for one of 2³² hashes",
    ),
    (
        "dropout",
        "kept = hashed_uniform(x.shape, key, first_row) >= rate * 2 ** 32",
        "differs for one of 2³² hashes",
    ),
    (
        "heads",
        "ends = itertools.accumulate(parts)",
        "it is walked once, as the list is",
    ),
    (
        "adamw",
        "pieces = ((slice(boundary, part.stop), 0.0), "
        "(slice(part.start, boundary), weight_decay))",
        "the pieces are steps of their own: their order is free",
    ),
    (
        "law",
        "return float(huber(np.log(loss) - curve, delta).sum())",
        "huber is even",
    ),
    (
        "law",
        "return np.where(size < delta, size * size / 2, delta * (size - delta / 2))",
        "at delta both formulas give delta² / 2",
    ),
    (
        "schedule",
        "done = (step - config.warmup) / max(2, config.steps - config.warmup)",
        "where one step is left its numerator is 0",
    ),
    ("sampling", "with np.errstate():", "a warning more: the numbers are the same"),
    (
        "beams",
        "found.append(((*ids, token), total + log_probability))",
        "a number of NumPy, float64, is a float of Python",
    ),
    (
        "clipping",
        "return math.sqrt(sum((to_numpy(part) for part in parts)))",
        "on the host these are NumPy's numbers already",
    ),
    (
        "clipping",
        "return math.sqrt(sum((part.item() for part in parts)))",
        "on the host these are NumPy's numbers already",
    ),
    (
        "masked",
        "hidden = chosen & (fate <= HIDDEN)",
        "differs for one draw of 2⁵³",
    ),
    (
        "masked",
        "exchanged = chosen & ~hidden & (fate <= HIDDEN + EXCHANGED)",
        "differs for one draw of 2⁵³",
    ),
    (
        "masked",
        "exchanged = chosen & ~hidden & (HIDDEN + EXCHANGED < fate)",
        "the other 10 % are exchanged, and these stay",
    ),
    (
        "masked",
        "ids = np.where(hidden, tokenizer.specials[MASK], tokens)",
        "a number of Python takes the type of the array",
    ),
]
