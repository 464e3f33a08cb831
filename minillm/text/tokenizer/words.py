"""Words of a text for byte-pair encoding: each is encoded once, then looked up.

A text of ten million characters has two million words, and among them some fifty
thousand different ones. The library splits a text by a pattern and encodes every word
by itself, so that a table of words gives the same ids.
"""

import json
import os
import re

import numpy as np
import tokenizers

# The pattern of Radford et al. (2019, in their code), in which \p{L} stands for letters
# and \p{N} for numbers. `Words.odd` are the characters that `re` has in other classes.
WORD = re.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d"
    r"| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+"
    r"|\s+(?!\S)|\s+"
)
# (class in that pattern, a character that is surely of it)
CLASSES = (
    (re.compile(r"[^\W\d_]"), "a"),
    (re.compile(r"\d"), "1"),
    (re.compile(r"\s"), "\n"),
    (re.compile(r"[^\s\w]|_"), "!"),
)
OWN_PATTERN = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
MANY_CORES = 3  # share out the library's work to more than a table saves
LONGEST = 64  # characters of a word that is kept
MOST = 100_000  # words, with their ids some 20 MB
WORTH = 1 << 15  # characters, from which on words repeat
# Where more than one word in so many is new, as in Chinese, which has no spaces, the
# library alone is quicker: it gets the next parts of the text too.
ONE_IN = 3
NEXT = 8


class Words:
    """The table of one text, for a library's tokenizer that `splits_by_words`."""

    def __init__(self, library: tokenizers.Tokenizer) -> None:
        self.library = library
        self.ids: dict[str, bytes] = {}  # int32
        self.known: set[str] = set()  # characters, each looked at once
        self.odd: list[str] = []  # of these, those that `re` has in another class
        self.left = 0  # parts of the text that are not looked at

    def encode(self, text: str) -> np.ndarray | None:
        """The ids of a text, (T,) int32; None where the library has to find them: `re`
        would split it otherwise, or its words are mostly new."""
        if len(text) < WORTH or any(character in text for character in self.odd):
            return None
        if self.left:
            self.left -= 1
            return None
        words = WORD.findall(text)
        new = [*set(words).difference(self.ids)]
        if ONE_IN * len(new) > len(words):
            self.left = NEXT
            return None
        if self._are_odd("".join(new)):
            return None
        found = self.library.encode_batch_fast(new, add_special_tokens=False)
        for word, each in zip(new, found, strict=True):
            self.ids[word] = np.array(each.ids, np.int32).tobytes()
        joined = b"".join(map(self.ids.__getitem__, words))
        for word in new:
            if len(word) > LONGEST:
                del self.ids[word]
        if len(self.ids) > MOST:
            self.ids.clear()
        return np.frombuffer(joined, np.int32)

    def _are_odd(self, characters: str) -> bool:
        """Whether the library has one of these characters in another class than `re`:
        numbers that are no digits, four control characters, and what only one of the
        two versions of Unicode knows."""
        unknown = sorted({*characters} - self.known)
        self.known.update(unknown)
        found = [*filter(self._is_odd, unknown)]
        self.odd += found
        return bool(found)

    def _is_odd(self, character: str) -> bool:
        alike = next(sure for kind, sure in CLASSES if kind.match(character))
        return len(self.library.pre_tokenizer.pre_tokenize_str(alike + character)) != 1


def splits_by_words(library: tokenizers.Tokenizer) -> bool:
    """Whether a tokenizer of the library splits a text by our pattern and by nothing
    else, and encodes a word alike wherever it stands; and a table is quicker here."""
    if _cores() >= MANY_CORES:
        return False
    if library.normalizer is not None or library.pre_tokenizer is None:
        return False
    pattern = json.loads(library.pre_tokenizer.__getstate__())
    added = library.get_added_tokens_decoder().values()
    return (
        OWN_PATTERN.items() <= pattern.items()
        and not library.model.dropout
        and all(token.special for token in added)
    )


def _cores() -> int:
    """Those that the library would use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
