"""Long texts in chunks, so that no step needs many times the memory of the text."""

import re
from collections.abc import Iterable, Iterator

from minillm.errors import UsageError

CHUNK_CHARACTERS = 1 << 16
SAMPLE_CHARACTERS = 4_000_000
SAMPLE_CHUNKS = 64

# White space as Unicode and the tokenizers have it; Python's has four characters more.
SPACE, NO_SPACE = r"[^\S\x1c-\x1f]", r"[\S\x1c-\x1f]"
# Punctuation of ASCII, general punctuation, and that of Chinese and Japanese.
_PUNCTUATION = r"[!-/:-@\[-`{-~\u2010-\u2027\u3001-\u3003\u3008-\u3011！（），．：；？]"
# Where BPE and wordpiece part words whatever else stands there.
EDGE = re.compile(f"{NO_SPACE}(?={SPACE})|[^\\W_](?={_PUNCTUATION})")
_LAST_EDGE = re.compile(f"(?s:.*)(?:{EDGE.pattern})")
# Where every tokenizer that can be read parts words: some take "!\n" for one.
_LAST_SURE_EDGE = re.compile(f"(?s:.*)[^\\W_](?= |(?!_){_PUNCTUATION})")


def chunks(text: str) -> Iterator[str]:
    """All of a text in consecutive chunks of at most 65,536 characters.

    A cut comes between two words, before white space or punctuation: BPE and wordpiece
    part them there in any case, so that the chunks give the ids of the whole. A longer
    word stays whole. Raises UsageError at a lone surrogate.
    """
    start = 0
    while len(text) - start > CHUNK_CHARACTERS:
        stop = start + CHUNK_CHARACTERS
        # What follows the last character decides too.
        edge = _LAST_EDGE.match(text, start, stop + 1) or EDGE.search(text, stop)
        stop = edge.end() if edge else len(text)
        yield _checked(text[start:stop])
        start = stop
    yield _checked(text[start:])


def rejoined(pieces: Iterable[str]) -> Iterator[str]:
    """The text that the pieces make together, in chunks that end between two words.

    It keeps no more of the text than the last word and the piece itself.
    """
    held, last = [], ""
    for piece in pieces:
        cut = _LAST_SURE_EDGE.match(last + piece)
        if cut:
            at = cut.end() - len(last)
            yield from chunks("".join([*held, piece[:at]]))
            held, piece = [], piece[at:]
        if piece:
            held.append(piece)
            last = piece[-1]
    yield from chunks("".join(held))


def sample(text: str) -> Iterator[str]:
    """Chunks of about four million characters in all, spread evenly over a text."""
    if len(text) <= SAMPLE_CHARACTERS:
        yield from chunks(text)
        return
    for i in range(SAMPLE_CHUNKS):
        start = i * len(text) // SAMPLE_CHUNKS
        yield _checked(text[start : start + SAMPLE_CHARACTERS // SAMPLE_CHUNKS])


def _checked(chunk: str) -> str:
    """The same chunk; UsageError where it holds half a character."""
    try:
        chunk.encode("utf-8")
    except UnicodeEncodeError as error:
        half = ascii(chunk[error.start])
        raise UsageError(f"not valid Unicode: {half} is half a character") from error
    return chunk
