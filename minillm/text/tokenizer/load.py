"""A tokenizer from its tokenizer.json."""

from pathlib import Path

from minillm.errors import DataError
from minillm.json_files import read_json
from minillm.kinds import check
from minillm.reading import TOKENIZER
from minillm.text.template import Template
from minillm.text.tokenizer.base import Tokenizer
from minillm.text.tokenizer.characters import ByteTokenizer, CharTokenizer

OWN = {  # of tokens that are bytes or characters
    "kind": ("bytes", "chars"),
    "alphabet?": str,
    "specials": [str],
    "template?": {"single": str, "pair?": str},
}


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer of a tokenizer.json. Raises DataError for anything else."""
    return tokenizer_of(read_json(path, TOKENIZER), path)


def tokenizer_of(settings: object, path: str | Path) -> Tokenizer:
    """The tokenizer of the value in a tokenizer.json at `path`. Raises DataError for
    anything else."""
    try:
        check(settings, {})
        return _own(settings) if "kind" in settings else _of_library(settings)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a tokenizer of minillm ({error})") from error


def _own(settings: dict) -> Tokenizer:
    check(settings, OWN)
    specials = _distinct(settings["specials"])
    if settings["kind"] == "bytes":
        return ByteTokenizer(specials, _template(settings))
    alphabet = "".join(_distinct([*settings["alphabet"]]))
    return CharTokenizer(alphabet, specials, _template(settings))


def _of_library(settings: dict) -> Tokenizer:
    # Opened where they are needed, with the library `tokenizers`.
    from minillm.text.tokenizer.allowed import check_parts
    from minillm.text.tokenizer.bpe import BpeTokenizer
    from minillm.text.tokenizer.library import from_json, template_of
    from minillm.text.tokenizer.wordpiece import WordPieceTokenizer

    check_parts(settings)
    types = tuple(settings[place]["type"] for place in ("model", "decoder"))
    if types == ("BPE", "Sequence"):
        from minillm.text.tokenizer.sentencepiece import of_library

        return of_library(settings, from_json(settings), template_of(settings))
    if types not in (("BPE", "ByteLevel"), ("WordPiece", "WordPiece")):
        raise ValueError(f"{' and '.join(types)} do not go together")
    if settings["model"].get("byte_fallback"):
        raise ValueError("its bytes are tokens in two ways")
    check(settings, {"pre_tokenizer": dict})
    words = settings["pre_tokenizer"]
    template, library = template_of(settings), from_json(settings)
    if types[0] == "BPE":
        if words.get("pretokenizers", [words])[-1]["type"] != "ByteLevel":
            raise ValueError("nothing turns its text into bytes")
        return BpeTokenizer(library, template)
    wordpiece = WordPieceTokenizer(library, template)
    if settings["model"]["unk_token"] not in wordpiece.specials:
        raise ValueError("no special token for unknown words")
    return wordpiece


def _distinct(names: list[str]) -> list[str]:
    """The same list if its strings are distinct, else ValueError."""
    if len(set(names)) < len(names):
        raise ValueError("something is listed twice")
    return names


def _template(settings: dict) -> Template | None:
    """The template of a tokenizer of bytes or characters, None where it has none."""
    template = settings.get("template")
    return None if template is None else Template(**template)
