"""Start cost: what it costs to begin reading a text in the middle.

A model sees a text through windows. The first word of a window has lost its beginning,
and with it what the beginning tells: even the ideal reader loses more than the entropy
rate h there. Over a window of T predicted characters its loss is h + C/T, where C is
the information between past and future (the excess entropy of Crutchfield and Feldman
2003), given the one character that a window begins with.
"""

import numpy as np


def excess_entropy(words: list[str], within: np.ndarray, moves: np.ndarray) -> float:
    """C in nats, for words that are drawn from the classes of a Markov chain.

    words: each with the character that ends it, none equal to another. within[c, w]:
    P(word | class), of which each word has one. moves[c, d]: P(next class d | class c).
    """
    classes = within.argmax(0)
    chance = within.max(0)  # of a word in its class
    length = np.array([len(word) for word in words])
    classes_met = stationary(moves)
    met = classes_met[classes] * chance  # of a word in the text
    met /= met @ length  # at each character of the text
    owner = np.repeat(np.arange(len(words)), length)

    # The ideal reader of a window pays for the rest of the word and the next class ...
    tails, tail_of = _numbered(word[i:] for word in words for i in range(len(word)))
    rest = _sums(tail_of, classes[owner], met[owner], (len(tails), len(moves)))
    firsts, first_of = _numbered(tail[0] for tail in tails)
    first = _sums(first_of, 0, rest.sum(1), (len(firsts), 1))
    paid = _entropy(rest @ moves) - _entropy(first)

    # ... and so does who has read from the start: the rest of the word, given the class
    # before it and all letters up to here, and then the next class.
    heads, head_of = _numbered(
        word[: i + 1] for word in words for i in range(len(word))
    )
    head = _sums(head_of, classes[owner], chance[owner], (len(heads), len(moves)))
    scale = met.sum()  # words per character
    known = 0.0
    for before, row in zip(classes_met, moves, strict=True):
        p = row[classes] * chance
        known += before * scale * (_entropy(p, length) - _entropy(head @ row))
    known += (met * length) @ np.array([_entropy(row) for row in moves])[classes]
    return float(paid - known)


def stationary(moves: np.ndarray) -> np.ndarray:
    """How often a Markov chain is in each of its classes: (C,), of moves (C, C)."""
    n = len(moves)
    balance = np.vstack([moves.T - np.eye(n), np.ones(n)])
    return np.linalg.lstsq(balance, np.append(np.zeros(n), 1.0), rcond=None)[0]


def _numbered(texts) -> tuple[list[str], np.ndarray]:
    """The different texts, and the number of each: (texts,)."""
    numbers: dict[str, int] = {}
    places = [numbers.setdefault(text, len(numbers)) for text in texts]
    return list(numbers), np.array(places)


def _sums(rows, columns, amounts, shape: tuple[int, int]) -> np.ndarray:
    cells = rows * shape[1] + columns
    return np.bincount(cells, amounts, shape[0] * shape[1]).reshape(shape)


def _entropy(p: np.ndarray, times=1.0) -> float:
    """−Σ p ln p, each term taken `times`."""
    return float(-(times * p * np.log(np.where(p > 0, p, 1.0))).sum())
