"""tokenizer.json and tokenizer_config.json, as the library `tokenizers` writes them.

Characters become a WordLevel model over single characters, bytes a byte-level BPE
without merges. In a text, `transformers` takes the name of a special token for the
token; minillm does not unless it is asked to.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from minillm.errors import DataError
from minillm.hub.roles import ROLES
from minillm.json_files import read_object
from minillm.reading import TOKENIZER
from minillm.runs.run import Run
from minillm.text import BOS, EOS, MASK, PAD, Tokenizer, load_tokenizer
from minillm.text.tokenizer.base import CLS, SEP
from minillm.text.tokenizer.characters import UNKNOWN, ByteTokenizer, CharTokenizer
from minillm.text.tokenizer.library import post_processor, template_of

# What `transformers` calls those of them that nothing but their names tells apart.
OF_BERT = {CLS: "cls_token", SEP: "sep_token", MASK: "mask_token"}
KEYS = {**ROLES, **OF_BERT}


def tokenizer_json(run: Run) -> dict:
    """The content of tokenizer.json: the same ids, the same texts."""
    match tokenizer := run.tokenizer:
        case CharTokenizer():
            library = _of_characters(tokenizer)
        case ByteTokenizer():
            library = _of_bytes(tokenizer)
        case _:
            return _as_read_here(json.loads(tokenizer.to_json()))
    library.add_special_tokens(
        [
            tokenizers.AddedToken(name, special=True, normalized=False)
            for name in tokenizer.specials
        ]
    )
    if tokenizer.template is not None:
        library.post_processor = post_processor(tokenizer.template, tokenizer.specials)
    return json.loads(library.to_str())


def _of_characters(tokenizer: CharTokenizer) -> tokenizers.Tokenizer:
    # A vocabulary holds each string once. Where U+FFFD is itself in the alphabet, two
    # of them stand for the unknown, and are written as one.
    unknown = UNKNOWN * (1 + (UNKNOWN in tokenizer.alphabet))
    ids = {each: i for i, each in enumerate([*tokenizer.alphabet, unknown])}
    library = tokenizers.Tokenizer(models.WordLevel(ids | tokenizer.specials, unknown))
    each = tokenizers.Regex(r"[\s\S]")
    library.pre_tokenizer = pre_tokenizers.Split(each, "isolated")
    single = decoders.Replace(UNKNOWN * 2, UNKNOWN)
    library.decoder = decoders.Sequence([single, decoders.Fuse()])
    return library


def _of_bytes(tokenizer: ByteTokenizer) -> tokenizers.Tokenizer:
    from minillm.text.tokenizer.bpe import byte_of_character

    ids = byte_of_character() | tokenizer.specials
    library = tokenizers.Tokenizer(models.BPE(ids, []))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=False
    )
    library.decoder = decoders.ByteLevel()
    return library


def _as_read_here(content: dict) -> dict:
    """A file of the library, without what minillm does not heed in it. The space before
    a [MASK] of BPE belongs to the gap, as it would to the word."""
    for token in content.get("added_tokens") or ():
        if token["content"] == MASK and content["model"]["type"] == "BPE":
            token["lstrip"] = True
    return content | {"truncation": None, "padding": None}


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a tokenizer.json: one that minillm knows, or characters as
    `tokenizer_json` writes them. Raises DataError for any other."""
    content = read_object(path, most=TOKENIZER)
    if content.get("model", {}).get("type") != "WordLevel":
        return load_tokenizer(path)
    ids = content["model"].get("vocab", {})
    unknown = ids.get(content["model"].get("unk_token"), 0)
    in_order = sorted(ids, key=ids.get)
    letters = "".join(each for each in in_order if ids[each] < unknown)
    specials = [each for each in in_order if ids[each] > unknown]
    try:
        tokenizer = CharTokenizer(letters, specials, template_of(content))
        same = tokenizer_json(SimpleNamespace(tokenizer=tokenizer)) == content
    except (AttributeError, KeyError, TypeError, ValueError):
        same = False
    if not same:
        raise DataError(f"{path}: is a WordLevel tokenizer, and not one of characters")
    return tokenizer


def tokenizer_config(run: Run) -> dict:
    """The content of tokenizer_config.json. A special token that the run lacks is left
    out."""
    inputs = ["input_ids", "attention_mask"]
    if run.config.arch == "bert":
        inputs.insert(1, "token_type_ids")
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": run.model.config.context,
        "model_input_names": inputs,
        "padding_side": "left" if run.model.continues_text else "right",
        "clean_up_tokenization_spaces": False,
        **_special_names(run.tokenizer),
    }


def _special_names(tokenizer: Tokenizer) -> dict[str, str]:
    """The name of the special token in each role, of several the first."""
    names = {i: name for name, i in tokenizer.specials.items()}
    ids = {key: next(iter(tokenizer.ids_of(role)), None) for role, key in KEYS.items()}
    return {key: names[i] for key, i in ids.items() if i in names}


def special_ids(tokenizer: Tokenizer) -> dict[str, int | list[int] | None]:
    """The special tokens that a config.json may name: None where there is none, a list
    where several end a text."""
    found = {}
    for role in (PAD, BOS, EOS):
        ids = tokenizer.ids_of(role)
        found[f"{ROLES[role]}_id"] = [*ids] if len(ids) > 1 else next(iter(ids), None)
    return found
