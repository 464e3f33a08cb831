"""The values of a JSON file: objects a line, one after another, or in an array."""

import json
import re
from collections.abc import Iterator

from minillm.reading import distinct
from minillm.text.tables.columns import BadRow

BETWEEN = re.compile(r"[\s\ufeff]*")


def read_values(text: str, hint: str = "") -> Iterator[tuple[int, object]]:
    """Every value and the line it begins in; of an array its elements.

    Raises BadRow for what is no JSON or has a key twice, with a hint at what would be
    right.
    """
    decode = json.JSONDecoder(object_pairs_hook=distinct).raw_decode
    end_of_line = "\n" if "\n" in text else "\r"
    line, counted, place = 1, 0, BETWEEN.match(text).end()
    in_array = text.startswith("[", place)
    place = BETWEEN.match(text, place + in_array).end()
    while place < len(text):
        line += text.count(end_of_line, counted, place)
        counted = place
        if in_array and text[place] == "]":
            if text[place + 1 :].strip():
                raise BadRow(line, f"not JSON (something follows the array){hint}")
            return
        try:
            value, place = decode(text, place)
        except (ValueError, RecursionError) as error:
            reason = str(error).partition(":")[0]
            raise BadRow(line, f"not JSON ({reason}){hint}") from None
        yield line, value
        place = BETWEEN.match(text, place).end()
        if in_array and text.startswith(",", place):
            place = BETWEEN.match(text, place + 1).end()
        elif in_array and not text.startswith("]", place):
            raise BadRow(line, f"not JSON (the array does not go on here){hint}")
    if in_array:
        raise BadRow(line, f"not JSON (the array has no end){hint}")
