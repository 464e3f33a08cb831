"""Roles: which tokens of a folder end a text, begin it, pad it and stand for the
unknown, whatever they are called there."""

from pathlib import Path

from minillm.errors import DataError
from minillm.json_files import read_object
from minillm.reading import SETTINGS
from minillm.text import BOS, EOS, PAD, Tokenizer
from minillm.text.tokenizer.base import UNK

# What `transformers` calls each of them.
ROLES = {PAD: "pad_token", UNK: "unk_token", BOS: "bos_token", EOS: "eos_token"}
# Files that number them, the one that `transformers` writes texts by first, and one
# that names them.
NUMBERED = ("generation_config.json", "config.json")
NAMED = "tokenizer_config.json"

Roles = dict[str, tuple[int, ...]]


def read_roles(folder: Path, tokenizer: Tokenizer, note) -> Roles:
    """The tokens of each role that is not that of the token of its name. `note(text)`
    hears of an end that is no token of the model. Raises DataError for what is no
    token's id."""
    found = {}
    names = _settings(folder / NAMED)
    for role, key in ROLES.items():
        ids = _numbered(folder, f"{key}_id")
        known = tuple(i for i in ids if 0 <= i < tokenizer.vocab_size)
        if role == EOS and ids and not known:
            note(
                f"{folder}: {key}_id {', '.join(map(str, ids))} is none of the model's "
                f"{tokenizer.vocab_size} tokens: no token ends a text"
            )
        elif not known:
            known = _named(names.get(key), tokenizer)
        if known and known != tokenizer.ids_of(role):
            found[role] = known
    return found


def _settings(path: Path) -> dict:
    return read_object(path, most=SETTINGS) if path.is_file() else {}


def _numbered(folder: Path, key: str) -> list[int]:
    """The ids of a key in the first file that has it: one number, or a list."""
    for file in NUMBERED:
        value = _settings(folder / file).get(key)
        if value is None:
            continue
        ids = value if isinstance(value, list) else [value]
        if not all(type(i) is int for i in ids):
            raise DataError(
                f"{folder / file}: {key} is {value!r}, not the id of a token"
            )
        return ids
    return []


def _named(name, tokenizer: Tokenizer) -> tuple[int, ...]:
    """The special token of this name, which older versions write as an object."""
    name = name.get("content") if isinstance(name, dict) else name
    return (tokenizer.specials[name],) if name in tokenizer.specials else ()
