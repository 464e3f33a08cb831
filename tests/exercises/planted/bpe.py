"""Planted bugs: (text of the solution, what stands there instead, kind)."""

BEST = "min(pairs, key=lambda pair: (-pairs[pair], pair))"

BUGS = [
    ("pairs[pair] += n", "pairs[pair] += 1", "missing terms"),
    ("pairs[pair] += n", "pairs[pair] = n", "value"),
    ("pairs[pair] += n", "pairs[pair[::-1]] += n", "swapped"),
    ("itertools.pairwise(word)", "zip(word, word[2:])", "value"),
    ("i += 2", "i += 1", "value"),
    ('"".join(pair)', '"".join(pair[::-1])', "value"),
    ("return tuple(joined)", "return joined", "type"),
    ("word[i : i + 2] == pair", "word[i : i + 2] == pair and not i", "missing terms"),
    (BEST, "max(pairs, key=lambda pair: (pairs[pair], pair))", "order"),
    (BEST, "min(pairs, key=lambda pair: (pairs[pair], pair))", "value"),
    (BEST, "min(pairs)", "value"),
    (
        "fewer[merged(word, best)] += n",
        "fewer[merged(word, best)] = n",
        "missing terms",
    ),
    ("        words = fewer", "        pass", "value"),
    (
        "        words = fewer",
        "        words.clear()\n        words.update(fewer)",
        "write",
    ),
    (
        " and (pairs := count_pairs(words))",
        " and [pairs := count_pairs(words)]",
        "error",
    ),
]
