"""Long texts in pieces, so that no step needs many times the memory of the text."""

from collections.abc import Iterator

from minillm.errors import UsageError

PIECE_CHARACTERS = 1 << 16
SAMPLE_CHARACTERS = 4_000_000
SAMPLE_PIECES = 64


def pieces(text: str) -> Iterator[str]:
    """All of a text in consecutive pieces of at most 65,536 characters.

    Where it can, a cut comes before a line end that follows a visible character: BPE
    splits there in any case, so that the pieces give the ids of the whole. Raises
    UsageError at a lone surrogate.
    """
    start = 0
    while len(text) - start > PIECE_CHARACTERS:
        stop = start + PIECE_CHARACTERS
        line_end = text.rfind("\n", start + 1, stop)
        while line_end > 0 and text[line_end - 1].isspace():
            line_end = text.rfind("\n", start + 1, line_end)
        stop = line_end if line_end > 0 else stop
        yield _checked(text[start:stop])
        start = stop
    yield _checked(text[start:])


def sample(text: str) -> Iterator[str]:
    """Pieces of about four million characters in all, spread evenly over a text."""
    if len(text) <= SAMPLE_CHARACTERS:
        yield from pieces(text)
        return
    for i in range(SAMPLE_PIECES):
        start = i * len(text) // SAMPLE_PIECES
        yield _checked(text[start : start + SAMPLE_CHARACTERS // SAMPLE_PIECES])


def _checked(piece: str) -> str:
    """The same piece; UsageError where it holds half a character."""
    try:
        piece.encode("utf-8")
    except UnicodeEncodeError as error:
        half = ascii(piece[error.start])
        raise UsageError(f"not valid Unicode: {half} is half a character") from error
    return piece
