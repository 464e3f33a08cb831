"""Import: a folder of the library `transformers` as a run."""

import os
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from minillm.errors import DataError, UsageError
from minillm.files import holds_only, write_json, writing
from minillm.hub.keys import Keys
from minillm.hub.layouts import LAYOUTS
from minillm.hub.places import Places
from minillm.hub.shards import Tensors
from minillm.hub.tokenizer import read_tokenizer
from minillm.learning.config import OF_SHAPE, TrainConfig
from minillm.learning.flat import FlatParameters
from minillm.models import ModelConfig, build, count
from minillm.nn import Module
from minillm.runs import checkpoint
from minillm.runs.record import FORMAT, IMPORTED, versions

READ = ("gpt2", "llama")
# Buffers that older versions saved: masks, and the angles of rotary positions.
BUFFERS = re.compile(r".*\.(attn\.(masked_)?bias|rotary_emb\.inv_freq)")
MOST_NAMED = 5


def import_folder(folder: str | Path, run: str | Path) -> Path:
    """Make a run of a Hugging Face folder in the layout of GPT-2 or Llama, and return
    its path.

    The run has no text, no losses and no steps; whatever needs a model works on it,
    and `train(base=…)` and `finetune` begin with its weights. Nothing is unpickled, and
    no code of the folder is run.

    Raises DataError for what is missing, damaged or not like minillm's models, by name;
    UsageError where something lies at `run`.
    """
    folder, run = Path(folder), Path(run)
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder}: holds no model: there is no config.json in it")
    if os.path.lexists(run) and not holds_only(run, ()):
        raise UsageError(f"{run}: something is there: choose another folder")
    keys = Keys(folder / "config.json")
    family = keys.must("model_type", *READ)
    rules = LAYOUTS[family].rules
    try:
        shape = rules.shape_of(keys)
    except UsageError as error:  # no model has such a shape
        raise DataError(f"{keys.path}: {error}") from None
    keys.done()
    tokenizer = read_tokenizer(folder / "tokenizer.json")
    if tokenizer.vocab_size != shape.vocab_size:
        raise DataError(
            f"{folder}: tokenizer.json has {tokenizer.vocab_size} tokens, the model "
            f"{shape.vocab_size}"
        )
    tensors = Tensors(folder)
    places = rules.places_of(shape, "clm")
    names = _matched(tensors, places, rules.BODY, shape.tied)
    model = build(shape, np.random.default_rng(0))
    fill(model, tensors, places, names)
    _write(run, model, tokenizer, shape, folder)
    return run


def _matched(tensors: Tensors, places: Places, body: str, tied: bool) -> dict[str, str]:
    """The layout's name of each tensor that is needed -> its name in the files, which
    may lack the prefix `body`. Raises DataError that lists what is missing, left over
    or of another shape."""
    wanted = {name for place in places.values() for name in place.names}
    names, odd = {}, []
    for there in tensors.shapes:
        name = there if there in wanted else body + there
        if name in wanted:
            names[name] = there
        elif not (BUFFERS.fullmatch(there) or (tied and there == "lm_head.weight")):
            odd.append(f"{there} is left over")
    odd += [f"{name} is missing" for name in sorted(wanted) if name not in names]
    for place in places.values():
        for name, shape in place.shapes().items():
            found = tensors.shapes.get(names.get(name), shape)
            if found != shape:
                odd.append(f"{name} has shape {found} instead of {shape}")
    if odd:
        more = f" and {len(odd) - MOST_NAMED} more" if len(odd) > MOST_NAMED else ""
        raise DataError(f"{tensors.folder}: {'; '.join(odd[:MOST_NAMED])}{more}")
    return names


def fill(
    model: Module, tensors: Tensors, places: Places, names: dict[str, str]
) -> None:
    """Copy the tensors into our parameters, one parameter at a time."""
    ours = dict(model.named_parameters())
    for name, place in places.items():
        parts = [tensors.read(names[each]) for each in place.names]
        ours[name].data[...] = place.joined(parts)


def _write(run: Path, model: Module, tokenizer, shape: ModelConfig, folder) -> None:
    """Write the run: its record last, as a run is one when it has it."""
    same = {name: getattr(shape, name) for name in OF_SHAPE}
    config = TrainConfig(**same, tokenizer=tokenizer.kind, out=str(run)).resolve()
    with writing(run):
        run.mkdir(parents=True, exist_ok=True)
    flat, none = FlatParameters(model), SimpleNamespace(state={})
    checkpoint.save(run / checkpoint.FOLDER, flat, none, {"step": 0})
    tokenizer.save(run / "tokenizer.json")
    record = {
        "format": FORMAT,
        "status": IMPORTED,
        "config": {
            "arch": config.arch,
            "objective": config.objective,
            "size": config.size,
            **shape.to_json(),
        },
        "options": config.to_json(),
        "model": shape.to_json(),
        "sources": {},
        "data": {
            "name": folder.name,
            "note": "weights from elsewhere",
            "sha256": "",
            "tokenizer": {
                "kind": tokenizer.kind,
                "vocab_size": tokenizer.vocab_size,
                "sha256": tokenizer.sha256,
            },
        },
        "parameters": count.parameters(shape),
        "results": None,
        "seed": 0,
        "versions": versions(),
    }
    write_json(run / "run.json", record)
