"""A tokenizer from its tokenizer.json."""

import json
import stat
from pathlib import Path
from typing import Any

import tokenizers

from minillm.errors import DataError
from minillm.text.template import Template
from minillm.text.tokenizer.base import Tokenizer
from minillm.text.tokenizer.bpe import BpeTokenizer
from minillm.text.tokenizer.characters import ByteTokenizer, CharTokenizer
from minillm.text.tokenizer.library import template_of
from minillm.text.tokenizer.wordpiece import WordPieceTokenizer

LARGEST = 1 << 28  # bytes; a vocabulary of 2^20 needs less


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer of a tokenizer.json. Raises DataError for anything else."""
    try:
        about = Path(path).stat()
        if not stat.S_ISREG(about.st_mode):  # a pipe or a device may have no end
            raise DataError(f"{path}: is no regular file")
        if (size := about.st_size) > LARGEST:
            raise DataError(
                f"{path}: {size:,} bytes are too many for a tokenizer.json, which has "
                f"at most {LARGEST:,}"
            )
        content = Path(path).read_text(encoding="utf-8")
        settings = json.loads(content)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: damaged, not JSON ({error})") from error
    kind = settings.get("kind") if isinstance(settings, dict) else None
    try:
        if kind == "bytes":
            return ByteTokenizer(_distinct(settings["specials"]), _template(settings))
        if kind == "chars":
            alphabet = settings["alphabet"]
            if not isinstance(alphabet, str):
                raise TypeError("the alphabet is not text")
            return CharTokenizer(
                "".join(_distinct([*alphabet])),
                _distinct(settings["specials"]),
                _template(settings),
            )
        types = (settings["model"]["type"], settings["decoder"]["type"])
        if types == ("BPE", "ByteLevel"):
            return BpeTokenizer(_from_json(content), template_of(settings))
        if types == ("WordPiece", "WordPiece"):
            library = _from_json(content)
            wordpiece = WordPieceTokenizer(library, template_of(settings))
            if settings["model"]["unk_token"] not in wordpiece.specials:
                raise ValueError("no special token for unknown words")
            return wordpiece
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a tokenizer of minillm ({error})") from error
    raise DataError(f"{path}: a tokenizer of a kind that is neither bpe nor wordpiece")


def _distinct(names: Any) -> list[str]:
    """The same list if it holds distinct valid strings, else ValueError."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("not a list of strings")
    if len(set(names)) < len(names):
        raise ValueError("something is listed twice")
    "".join(names).encode("utf-8")
    return names


def _template(settings: dict) -> Template | None:
    """The template of a tokenizer of bytes or characters, None where it has none."""
    template = settings.get("template")
    return None if template is None else Template(**template)


def _from_json(content: str) -> tokenizers.Tokenizer:
    try:
        library = tokenizers.Tokenizer.from_str(content)
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(error) from error
    ids = sorted(library.get_vocab().values())
    if ids != list(range(len(ids))):
        raise ValueError("its ids are not the whole numbers from 0")
    return library
