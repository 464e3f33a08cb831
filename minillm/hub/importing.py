"""Import: a folder of the library `transformers` as a run."""

import os
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from minillm.errors import DataError, UsageError
from minillm.files import holds_only, write_json, writing
from minillm.hub.download import download, is_remote
from minillm.hub.families import Kind, read_kind
from minillm.hub.places import Places
from minillm.hub.shards import Tensors
from minillm.hub.tokenizer import read_tokenizer
from minillm.learning.config import OF_SHAPE, TrainConfig
from minillm.learning.flat import FlatParameters
from minillm.models import build, count
from minillm.nn import Module
from minillm.runs import checkpoint
from minillm.runs.record import FORMAT, IMPORTED, about, versions

# Buffers that older versions saved: masks, and the angles of rotary positions.
BUFFERS = re.compile(r".*\.(attn\.(masked_)?bias|rotary_emb\.inv_freq)")
MOST_NAMED = 5


def import_folder(folder: str | Path, run: str | Path, note=None) -> Path:
    """Make a run of a Hugging Face folder in the layout of GPT-2, Llama, BERT or
    Marian, and return its path.

    `folder` may be hf:OWNER/NAME, which the extra `hub` downloads. The run has no text,
    no losses and no steps; whatever needs a model works on it, and `train(base=…)` and
    `finetune` begin with its weights. Nothing is unpickled, and no code of the folder
    is run. `note(text)` hears what the folder lacks, and what of it is left out.

    Raises DataError for what is missing, damaged or not like minillm's models, by name;
    UsageError where something lies at `run`.
    """
    run, note = Path(run), note or (lambda text: None)
    if os.path.lexists(run) and not holds_only(run, ()):
        raise UsageError(f"{run}: something is there: choose another folder")
    called = str(folder) if is_remote(folder) else Path(folder).name
    folder = download(folder, note) if is_remote(folder) else Path(folder)
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder}: holds no model: there is no config.json in it")
    found = read_kind(folder, note)
    shape = found.shape
    tokenizer = read_tokenizer(folder / "tokenizer.json")
    if tokenizer.vocab_size != shape.vocab_size:
        raise DataError(
            f"{folder}: tokenizer.json has {tokenizer.vocab_size} tokens, the model "
            f"{shape.vocab_size}"
        )
    _settle_specials(folder, tokenizer, found)
    tensors = Tensors(folder)
    tensors.rename(found.renamed)
    for table, (rows, kept) in found.shortened.items():
        tensors.shorten(table, rows, kept)
    places = {
        name: place
        for name, place in found.places.items()
        if not name.startswith(found.may_lack) or {*place.names} <= {*tensors.shapes}
    }
    names = _matched(tensors, places, found.layout.rules, shape.tied)
    model = build(shape, np.random.default_rng(0))
    if new := fill(model, tensors, places, names):
        note(f"{folder}: has no {', '.join(new)}: drawn anew")
    _write(run, model, tokenizer, found, called)
    return run


def _matched(tensors: Tensors, places: Places, rules, tied: bool) -> dict[str, str]:
    """The layout's name of each tensor that is needed -> its name in the files, which
    may lack the prefix `rules.BODY`. Raises DataError that lists what is missing, left over
    or of another shape."""
    wanted = {name for place in places.values() for name in place.names}
    names, odd = {}, []
    for there in tensors.shapes:
        name = there if there in wanted else rules.BODY + there
        if name in wanted:
            names[name] = there
        elif not (BUFFERS.fullmatch(there) or (tied and there == rules.HEAD)):
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
) -> list[str]:
    """Copy the tensors into our parameters, one parameter at a time; the parts of the
    model that no place is for."""
    ours = {
        name.removeprefix("body."): p
        for name, p in dict(model.named_parameters()).items()
    }
    for name, place in places.items():
        array = place.joined([tensors.read(names[each]) for each in place.names])
        if name in ours:
            ours[name].data[...] = array
        elif array.any():
            raise DataError(
                f"{tensors.folder}: {place.names[0]} has numbers that are not 0, and "
                f"minillm's models have no such bias"
            )
    left = [name.partition(".")[0] for name in ours if name not in places]
    return list(dict.fromkeys(left))


def _settle_specials(folder: Path, tokenizer, found: Kind) -> None:
    """Tell a tokenizer what answers begin with. Raises DataError where it lacks what
    the model cannot be used without."""
    for name in found.specials:
        if name not in tokenizer.specials:
            raise DataError(
                f"{folder}: tokenizer.json has no special token {name}, which a model "
                f"of {found.layout.name} needs here"
            )
    if found.begin is not None:
        names = {i: name for name, i in tokenizer.specials.items()}
        if found.begin not in names:
            raise DataError(
                f"{folder}: decoder_start_token_id {found.begin} is no special token of "
                f"tokenizer.json"
            )
        tokenizer.begin = names[found.begin]


def _write(run: Path, model: Module, tokenizer, found: Kind, name: str) -> None:
    """Write the run: its record last, as a run is one when it has it."""
    shape = found.shape
    same = {name: getattr(shape, name) for name in OF_SHAPE}
    config = TrainConfig(
        **same, objective=found.objective, tokenizer=tokenizer.kind, out=str(run)
    ).resolve()
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
            "name": name,
            "note": "weights from elsewhere",
            "sha256": "",
            "labels": found.labels,
            "tokenizer": about(tokenizer),
        },
        "parameters": count.parameters(shape),
        "results": None,
        "seed": 0,
        "versions": versions(),
    }
    write_json(run / "run.json", record)
