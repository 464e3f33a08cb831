"""Exercise: byte-pair encoding learns its merges."""

import itertools
from collections import Counter

from minillm.exercises.cases import Cases
from minillm.exercises.exercise import Cut, Exercise, Failure

exercise = Exercise(
    name="bpe",
    title="byte-pair encoding: count pairs, merge one, again",
    task="""
    Byte-pair encoding makes tokens of frequent pairs (Sennrich et al. 2016, section
    3.2). `words` counts the words of a text, each as a tuple of its tokens so far:

        {("l", "o", "w"): 5, ("l", "o", "t"): 2}

    1. `count_pairs(words)`: how often each pair of neighbours occurs, all words
       counted as often as they occur. Here ("l", "o") 7 times, ("o", "w") 5 times.

    2. `merged(word, pair)`: the word with this pair joined to one token, from left to
       right: ("a", "a", "a") with ("a", "a") is ("aa", "a"). What has been joined is
       not joined again.

    3. `learn(words, n_merges)`: the list of pairs that are merged, in their order. Each
       time the most frequent pair is merged in all words; of equally frequent ones the
       smallest (Python's `<` on the tuples). It ends early where no pair is left. The
       `words` that are given stay as they are.
    """,
    read="""the tour, stop 1; Sennrich et al. 2016, algorithm 1. The engine hands this
    to the library `tokenizers`; here you write it.""",
    cut=Cut(
        "minillm.exercises.sheets.bpe",
        {"count_pairs": "", "merged": "", "learn": ""},
    ),
    hints=(
        "itertools.pairwise(word) gives the pairs of neighbours of a word.",
        "merged: walk with an index i. If word[i : i + 2] == pair, append the joined "
        "token and go on at i + 2, else append word[i] and go on at i + 1.",
        "The best pair: min(pairs, key=lambda pair: (-pairs[pair], pair)). New words: "
        "two old ones may become equal, and then their counts add up.",
    ),
)


def count_pairs(words: dict[tuple, int]) -> Counter:
    """How often each pair of neighbours occurs: {("l", "o"): 7, …}."""
    pairs = Counter()
    for word, n in words.items():
        for pair in itertools.pairwise(word):
            pairs[pair] += n
    return pairs


def merged(word: tuple, pair: tuple[str, str]) -> tuple:
    """The word with each occurrence of the pair joined, from left to right."""
    joined, i = [], 0
    while i < len(word):
        if word[i : i + 2] == pair:
            joined.append("".join(pair))
            i += 2
        else:
            joined.append(word[i])
            i += 1
    return tuple(joined)


def learn(words: dict[tuple, int], n_merges: int) -> list[tuple[str, str]]:
    """The pairs that are merged, in their order."""
    merges = []
    while len(merges) < n_merges and (pairs := count_pairs(words)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        fewer = Counter()
        for word, n in words.items():
            fewer[merged(word, best)] += n
        words = fewer
    return merges


def some_words(c: Cases) -> dict:
    words = Counter()
    for _ in range(c.integer(1, 4)):
        word = tuple(c.one_of("a", "b", "ab") for _ in range(c.integer(1, 5)))
        words[word] += c.integer(1, 4)
    return {"words": dict(words)}


def word_and_pair(c: Cases) -> dict:
    word = tuple(c.one_of("a", "b") for _ in range(c.integer(1, 7)))
    return {"word": word, "pair": (c.one_of("a", "b"), c.one_of("a", "b"))}


def by_text(words: dict) -> dict:
    """The pairs counted in another way: each place of each word once."""
    found = {}
    for word, n in words.items():
        for i in range(len(word) - 1):
            found[word[i], word[i + 1]] = found.get((word[i], word[i + 1]), 0) + n
    return found


def by_replacing(word: tuple, pair: tuple) -> tuple:
    """The same as text: letters are single here, "|" stands between tokens."""
    text = "|" + "|".join(word) + "|"
    old = f"|{pair[0]}|{pair[1]}|"
    at = 0
    while (at := text.find(old, at)) >= 0:
        text = text[:at] + f"|{''.join(pair)}|" + text[at + len(old) :]
        at += len("".join(pair)) + 1
    return tuple(text.strip("|").split("|"))


def slowly(words: dict, n_merges: int) -> list:
    """The merges, with the words as a list of all their occurrences."""
    texts, merges = [word for word, n in words.items() for _ in range(n)], []
    for _ in range(n_merges):
        count = {}
        for word in texts:
            for i in range(len(word) - 1):
                count[word[i : i + 2]] = count.get(word[i : i + 2], 0) + 1
        if not count:
            break
        most = max(count.values())
        best = sorted(pair for pair, n in count.items() if n == most)[0]
        merges.append(best)
        texts = [by_replacing(word, best) for word in texts]
    return merges


def same(found, expected, what: str, instead=()) -> None:
    for kind, other, says in instead:
        if found == other != expected:
            raise Failure(
                kind, f"{says}\n  {what}: expected {expected}\n  yours: {found}"
            )
    if found != expected:
        raise Failure("value", f"{what}: expected {expected}\n  yours: {found}")


def after(words: dict, merges: list) -> Counter:
    """The words in which these pairs are joined."""
    found = Counter()
    for word, n in words.items():
        for pair in merges:
            word = by_replacing(word, pair)
        found[word] += n
    return found


@exercise.property(points=2, inputs=some_words)
def counted_pairs(student, words):
    """count_pairs counts each pair of neighbours as often as its words occur."""
    found = student.count_pairs(words)
    if not isinstance(found, dict):
        raise Failure("type", "count_pairs returns a dictionary, or a Counter")
    once = by_text(dict.fromkeys(words, 1))
    reverse = {(b, a): n for (a, b), n in by_text(words).items()}
    same(
        {pair: n for pair, n in found.items() if n},
        by_text(words),
        "count_pairs(words)",
        [
            ("missing terms", once, "A word counts as often as it occurs, not once."),
            ("swapped", reverse, "The two of a pair are exchanged."),
        ],
    )


@exercise.property(points=2, inputs=word_and_pair)
def one_merge(student, word, pair):
    """merged(word, pair) joins the pair from left to right."""
    found = student.merged(word, pair)
    if isinstance(found, list):
        raise Failure("type", "merged returns a list; words are tuples")
    expected = by_replacing(word, pair)
    backwards = tuple(
        token[::-1] for token in by_replacing(word[::-1], pair[::-1])[::-1]
    )
    first = list(word)
    for i in range(len(word) - 1):
        if word[i : i + 2] == pair:
            first[i : i + 2] = ["".join(pair)]
            break
    same(
        found,
        expected,
        "merged(word, pair)",
        [
            ("missing terms", word, "Nothing is joined."),
            ("missing terms", tuple(first), "Only the first occurrence is joined."),
            ("order", backwards, "It joins from right to left."),
        ],
    )


@exercise.property(points=3, inputs=some_words)
def learned_merges(student, words):
    """learn(words, n) finds the merges in their order, ties by the smallest pair."""
    before = dict(words)
    for n in (1, 2, 6):
        expected = slowly(words, n)
        found = student.learn(words, n)
        if not isinstance(found, list):
            raise Failure("type", "learn returns a list of pairs")
        if words != before:
            raise Failure("write", "learn writes into the words that it is given.")
        if len(found) > n:
            raise Failure("extra terms", f"{len(found)} merges, asked for {n}")
        found, instead = [tuple(pair) for pair in found], []
        both = enumerate(zip(found, expected, strict=False))
        if (i := next((i for i, (a, b) in both if a != b), None)) is not None:
            count = by_text(after(words, expected[:i]))
            if count.get(found[i]) == max(count.values()):
                instead = [("order", found, "Of equally frequent pairs: the smallest.")]
        same(found, expected, f"learn(words, {n})", instead)


@exercise.property(points=1)
def words_that_become_equal(student):
    """Two words that a merge has made equal count together."""
    words = {("a", "b", "c"): 6, ("ab", "c"): 3, ("x", "y"): 5}
    expected = [("a", "b"), ("ab", "c")]
    lost = [("a", "b"), ("x", "y")]
    says = "Two words become equal, and only one of them is counted: add their counts."
    found = [tuple(pair) for pair in student.learn(dict(words), 2)]
    same(found, expected, f"learn({words}, 2)", [("missing terms", lost, says)])
