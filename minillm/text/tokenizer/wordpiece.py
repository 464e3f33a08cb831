"""WordPiece: the longest known pieces of each word."""

import re
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import tokenizers

from minillm.text.template import Template
from minillm.text.tokenizer.base import UNK
from minillm.text.tokenizer.characters import ranked_characters
from minillm.text.tokenizer.chunks import SPACE, sample
from minillm.text.tokenizer.library import (
    LibraryTokenizer,
    n_words,
    refuse_words,
)

CONTINUING = "##"
RARE = 100_000  # characters of text, in which one of the alphabet must occur


class WordPieceTokenizer(LibraryTokenizer):
    """The pieces of words that BERT reads (Wu et al. 2016; Devlin et al. 2019).

    White space and punctuation part words, and a Chinese character is a word of its
    own. From its beginning on, a word is cut into the longest pieces that are known;
    "##" marks those that continue a word. A word with a character outside the alphabet,
    or of more than 100 characters, becomes [UNK]. Case and accents are kept, white
    space is not: a decoded text has one space between words, so that it is the text
    again only up to white space.
    """

    kind = "wordpiece"
    keeps_spaces = False
    looks_back = True

    @cached_property
    def word_edges(self) -> tuple[np.ndarray, np.ndarray]:
        tokens = [self._library.id_to_token(i) for i in range(self.vocab_size)]
        opens = np.array([not token.startswith(CONTINUING) for token in tokens])
        return opens, np.zeros_like(opens)

    def open_end(self, text: str) -> tuple[str, str]:
        kept = text.rstrip()
        return kept, " " if kept != text else ""

    def opening(self, owed: str) -> np.ndarray:
        opens, _ = self.word_edges
        return opens if owed else np.ones_like(opens)

    @property
    def unknown_id(self) -> int:
        return self.specials[UNK]

    def unknown(self, text: str) -> str:
        each = list(dict.fromkeys(text))
        ids = zip(each, self.encode_all(each), strict=True)
        return "".join(one for one, its in ids if self.unknown_id in its)

    def _n_lost(self, text: str, ids: np.ndarray) -> tuple[int, int]:
        # A word is unknown as a whole. White space has no token, and is not counted.
        # Tokens are of the normalised text: of 각, without accents, three letters.
        if self._library.normalizer is not None:
            text = self._library.normalizer.normalize_str(text)
        visible = len(text) - len(re.findall(SPACE, text))
        return visible - int(self._lengths[ids].sum()), visible

    @cached_property
    def _lengths(self) -> np.ndarray:
        """How many characters of a text each token stands for: (V,)."""
        tokens = [self._library.id_to_token(i) for i in range(self.vocab_size)]
        lengths = np.array([len(token.removeprefix(CONTINUING)) for token in tokens])
        lengths[self.unknown_id] = 0
        return lengths

    @classmethod
    def train(
        cls,
        text: str,
        vocab_size: int,
        specials: Sequence[str] = (UNK,),
        template: Template | None = None,
    ) -> "WordPieceTokenizer":
        """Learn the pieces as BPE learns its merges, from a sample of the text.

        [UNK] must be among the specials. The alphabet is that of the text, without what
        occurs less than once in 100,000 characters; where it is too large, the most
        frequent characters stay. Raises UsageError for a special token that could be a
        word.
        """
        wordpiece = tokenizers.Tokenizer(tokenizers.models.WordPiece())
        wordpiece.normalizer = tokenizers.normalizers.BertNormalizer(
            clean_text=False, strip_accents=False, lowercase=False
        )
        wordpiece.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
        wordpiece.decoder = tokenizers.decoders.WordPiece(CONTINUING, cleanup=False)
        refuse_words((name.removeprefix(CONTINUING) for name in specials), wordpiece)
        pieces = _learned(text, vocab_size - len(specials), wordpiece)
        wordpiece.model = tokenizers.models.WordPiece(
            {piece: i for i, piece in enumerate([*specials, *pieces])},
            unk_token=UNK,
            continuing_subword_prefix=CONTINUING,
            max_input_chars_per_word=100,
        )
        wordpiece.add_special_tokens(list(specials))
        return cls(wordpiece, template)


def _learned(text: str, most: int, wordpiece: tokenizers.Tokenizer) -> list[str]:
    """At most `most` pieces: the alphabet, then its merges, the first learned first.

    The library's own trainer for WordPiece numbers the characters that continue words
    as a hash table gives them out. Of equally frequent pairs the one of lower numbers
    is merged, so that each run would learn other pieces. BPE, which that trainer is at
    heart, is therefore given the whole alphabet in order.
    """
    alphabet = _alphabet(text, most, wordpiece)
    characters = [piece for piece in alphabet if len(piece) == 1]
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.normalizer = wordpiece.normalizer
    bpe.pre_tokenizer = wordpiece.pre_tokenizer
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=most,
        min_frequency=2,
        special_tokens=alphabet,
        initial_alphabet=characters,
        limit_alphabet=len(characters),
        continuing_subword_prefix=CONTINUING,
        show_progress=False,
    )
    bpe.train_from_iterator(sample(text), trainer)
    ids = bpe.get_vocab()
    return sorted(ids, key=ids.get)


def _alphabet(text: str, most: int, wordpiece: tokenizers.Tokenizer) -> list[str]:
    """At most `most` pieces of one character, those of the most frequent ones first."""
    alphabet = []
    for character, count in ranked_characters(text).items():
        if count * RARE < len(text):
            break
        # White space is no word. What makes two of its double continues none.
        forms = {
            0: [],
            1: [character, CONTINUING + character],
            2: [character],
        }[n_words(2 * character, wordpiece)]
        if len(alphabet) + len(forms) > most:
            break
        alphabet += forms
    return alphabet
