"""Sentence encoders: what sentence-transformers makes of BERT's vectors of tokens.

modules.json lists the steps: BERT, pooling, and the vector brought to length 1, as
`embed` always brings it (Reimers & Gurevych 2019).
"""

from dataclasses import dataclass
from pathlib import Path

from minillm.errors import DataError
from minillm.files import write_json
from minillm.hub.keys import MOST, Keys
from minillm.json_files import read_json, read_object
from minillm.kinds import check
from minillm.nn import ModelConfig
from minillm.reading import SETTINGS

MODULES = "modules.json"
LENGTH = "sentence_bert_config.json"
PROMPTS = "config_sentence_transformers.json"
LIBRARY = "sentence_transformers"
STEPS = ("Transformer", "Pooling", "Normalize")
# The name of a pooling, as `ModelConfig` has it -> its key in older files.
POOLINGS = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens"}
OTHERS = (
    "pooling_mode_max_tokens",
    "pooling_mode_mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens",
    "pooling_mode_lasttoken",
)


@dataclass(frozen=True)
class SentenceEncoder:
    """How a folder's vectors are made: by which pooling, of how many tokens at most
    (special ones counted), and whether they have length 1."""

    pooling: str
    length: int
    normalised: bool


def read_sentence_encoder(folder: Path) -> SentenceEncoder | None:
    """What a folder says of its vectors; None where it is of no sentence encoder.
    Raises DataError, which names it, for a step that minillm does not have."""
    if not (folder / MODULES).is_file():
        return None
    modules = read_modules(folder / MODULES)
    steps = [name for name, _ in modules]
    if steps not in (list(STEPS), list(STEPS[:2])):
        raise DataError(
            f"{folder / MODULES}: its steps are {', '.join(steps)}, and minillm reads "
            f"{', '.join(STEPS)}"
        )
    if modules[0][1]:
        raise DataError(f"{folder / MODULES}: its Transformer lies in {modules[0][1]}")
    pooling = _pooling(folder / modules[1][1] / "config.json")
    if (folder / PROMPTS).is_file():
        prompts = Keys(folder / PROMPTS)
        prompts.must("default_prompt_name", None)
    return SentenceEncoder(pooling, _length(folder), len(steps) == len(STEPS))


def read_modules(path: Path) -> list[tuple[str, str]]:
    """The kind and the folder of each step that a modules.json lists. Raises DataError
    for one of another library, whose code minillm does not run, and for a folder that
    is not below."""
    modules = read_json(path, SETTINGS)
    try:
        check(modules, [{"type": str, "path": str}])
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None
    found = []
    for module in modules:
        library, _, kind = module["type"].rpartition(".")
        if library.partition(".")[0] != LIBRARY:
            raise DataError(
                f"{path}: {module['type']!r} is code of its own, which minillm never "
                f"runs"
            )
        name = module["path"]
        if name and (Path(name).name != name or "\\" in name or not name.strip(".")):
            raise DataError(f"{path}: {name!r} is no name of a folder here")
        found.append((kind, name))
    return found


def files_of_modules(path: Path) -> list[str]:
    """The files, beside those of the model, that say how its vectors are made."""
    modules = read_modules(path)
    poolings = [f"{name}/config.json" for kind, name in modules if kind == "Pooling"]
    return [LENGTH, PROMPTS, *poolings]


def _pooling(path: Path) -> str:
    keys = Keys(path)
    for name in ("word_embedding_dimension", "embedding_dimension"):
        keys.number(name, 1)  # that of the model, whose config.json says it
    keys.flag("include_prompt", True)  # there is none
    chosen = keys.must("pooling_mode", *POOLINGS, None)
    for name in OTHERS:
        keys.must(name, False, default=False)
    older = {name: keys.flag(key, False) for name, key in POOLINGS.items()}
    keys.done()
    named = [chosen] if chosen else [name for name, is_on in older.items() if is_on]
    if len(named) != 1:
        raise DataError(f"{path}: pools in {len(named)} ways, and minillm in one")
    return named[0]


def _length(folder: Path) -> int:
    """The most tokens that are read of a text, special ones counted."""
    file = folder / "tokenizer_config.json"
    usual = read_object(file, most=SETTINGS) if file.is_file() else {}
    length = usual.get("model_max_length")
    if type(length) is not int or not 0 < length < MOST:
        length = MOST  # so it says: as many as the model has positions
    if not (folder / LENGTH).is_file():
        return length
    keys = Keys(folder / LENGTH)
    length = keys.number("max_seq_length", length)
    keys.must("do_lower_case", False, default=False)
    task = "feature-extraction"
    keys.must("transformer_task", task, default=task)
    keys.done()
    return length


def write_steps(folder: Path, config: ModelConfig) -> None:
    """Write the files that say so of a sentence encoder of ours."""
    paths = ["", "1_Pooling", "2_Normalize"]
    (folder / paths[1]).mkdir()
    (folder / paths[2]).mkdir()
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"{LIBRARY}.models.{step}"}
        for i, (path, step) in enumerate(zip(paths, STEPS, strict=True))
    ]
    modes = dict.fromkeys((*POOLINGS.values(), *OTHERS), False)
    modes[POOLINGS[config.pooling]] = True
    pooling = {"word_embedding_dimension": config.d_model, **modes}
    length = {"max_seq_length": config.context, "do_lower_case": False}
    write_json(folder / MODULES, modules)
    write_json(folder / LENGTH, length)
    write_json(folder / paths[1] / "config.json", pooling)
