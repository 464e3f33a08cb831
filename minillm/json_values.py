"""JSON values one after another: an object a line, or the elements of one array."""

import json
import re
from collections.abc import Iterator
from typing import Any

from minillm.reading import distinct, reason_of

SPACE = re.compile(r"[\s\ufeff]*")  # the mark stands where files were put together


class NotJSON(ValueError):
    """A text is no JSON: the line in which the value begins that is none, and the line
    of the mistake."""

    def __init__(self, reason: str, begun: int, line: int):
        super().__init__(reason)
        self.begun = begun
        self.line = line


def json_values(text: str, *, elements: bool = False) -> Iterator[tuple[int, Any]]:
    """Every value of a text, and the line it begins in; with `elements`, in place of an
    array what is in it.

    Raises NotJSON for what is no JSON or has a key twice.
    """
    decode = json.JSONDecoder(object_pairs_hook=distinct).raw_decode
    end_of_line = "\n" if "\n" in text else "\r"
    line, counted, place = 1, 0, SPACE.match(text).end()
    in_array = elements and text.startswith("[", place)
    place = SPACE.match(text, place + in_array).end()
    while place < len(text):
        line += text.count(end_of_line, counted, place)
        counted = place
        if in_array and text[place] == "]":
            if text[place + 1 :].strip():
                raise NotJSON("something follows the array", line, line)
            return
        try:
            value, place = decode(text, place)
        except (ValueError, RecursionError) as error:
            at = getattr(error, "pos", place)
            if text[at:].strip():
                mistake = line + text.count(end_of_line, place, at)
                raise NotJSON(reason_of(error), line, mistake) from None
            raise NotJSON("it ends before its last } or ]", line, line) from None
        yield line, value
        place = SPACE.match(text, place).end()
        if in_array and text.startswith(",", place):
            place = SPACE.match(text, place + 1).end()
        elif in_array and not text.startswith("]", place):
            raise NotJSON("the array does not go on here", line, line)
    if in_array:
        raise NotJSON("the array has no end", line, line)
