"""Earlier readings: texts that an earlier minillm read in other tokens."""

import re

from minillm.text.pieces import EDGE, PIECE_CHARACTERS

_LINE_ENDS_AFTER_SPACE = re.compile(r"\S[^\S\n]+\n")


def read_alike(text: str, kind: str) -> bool:
    """Whether format 1 of run.json and the present one give a text the same tokens, by
    tokenizers of subwords, for examples of this kind ("windows" or "passages").

    Until format 2 a piece ended before a line end that followed a visible character,
    and without such a line end anywhere; white space before a line end stood at the end
    of a sentence.
    """
    if kind == "passages":
        return not _LINE_ENDS_AFTER_SPACE.search(text)
    start = 0
    while len(text) - start > PIECE_CHARACTERS:
        stop = start + PIECE_CHARACTERS
        line_end = text.rfind("\n", start + 1, stop)
        while line_end > 0 and text[line_end - 1].isspace():
            line_end = text.rfind("\n", start + 1, line_end)
        if line_end <= 0 and not EDGE.match(text, stop - 1):
            return False
        start = line_end if line_end > 0 else stop
    return True
