"""Import: a folder of the library `transformers` as a run."""

import os
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from minillm import backend
from minillm.errors import DataError, UsageError, option
from minillm.files import holds_only, replacing_folder, write_json
from minillm.hub.download import download, is_remote
from minillm.hub.families import Kind, read_kind
from minillm.hub.places import Places
from minillm.hub.roles import read_roles
from minillm.hub.shards import Tensors
from minillm.hub.tokenizer import read_tokenizer
from minillm.learning.config import OF_SHAPE, TrainConfig
from minillm.learning.flat import FlatParameters
from minillm.models import build, count
from minillm.nn import Blank, Module
from minillm.runs import checkpoint
from minillm.runs.record import FORMAT, IMPORTED, about, versions
from minillm.runs.run import Run, check_positions
from minillm.text import Tokenizer
from minillm.visible import warn

# Buffers that older versions saved: masks, and the angles of rotary positions.
BUFFERS = re.compile(r".*\.(attn\.(masked_)?bias|rotary_emb\.inv_freq)")
MOST_NAMED = 5
MOST_UNUSED = 4096  # rows of a table beyond the tokenizer's; some round up to 128


def import_folder(
    folder: str | Path, run: str | Path, note=None, tokenizer: str | Path | None = None
) -> Path:
    """Make a run of a Hugging Face folder, see `read_folder`, and return its path.

    The run has no text, no losses and no steps; whatever needs a model works on it, and
    `train(base=…)` and `finetune` begin with its weights.

    Raises DataError as `read_folder` does, and UsageError where something lies at
    `run`, and for the current folder.
    """
    run = Path(run)
    if run.resolve() == Path.cwd():
        raise UsageError(f"{run}: is the current folder: name another one")
    if os.path.lexists(run) and not holds_only(run, ()):
        raise UsageError(f"{run}: something is there: choose another folder")
    read, flat = _read(folder, note or warn, tokenizer)
    options = {**read.record["options"], "out": str(run)}
    no_steps = SimpleNamespace(state={})
    with replacing_folder(run, ()) as made:  # whole, or not there
        checkpoint.save(made / checkpoint.FOLDER, flat, no_steps, {"step": 0})
        read.tokenizer.save(made / "tokenizer.json")
        write_json(made / "run.json", {**read.record, "options": options})
    return run


def read_folder(
    folder: str | Path, note=None, tokenizer: str | Path | None = None
) -> Run:
    """The run that a Hugging Face folder makes, in one of `LAYOUTS`.

    `load_run` reads it so. `folder` may be hf:OWNER/NAME, which the extra `hub`
    downloads. `tokenizer` is the tokenizer.json of a folder that has none. Nothing is
    unpickled, and no code of the folder is run. `note(text)` hears what the folder
    lacks, and what of it is left out: without it, that is warned of.

    Raises DataError for what is missing, damaged or not like minillm's models, by name.
    """
    return _read(folder, note or warn, tokenizer)[0]


def _read(folder, note, tokenizer) -> tuple[Run, FlatParameters]:
    called = str(folder) if is_remote(folder) else Path(folder).name
    folder = download(folder, note) if is_remote(folder) else Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder")
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder}: holds no model: there is no config.json in it")
    found = read_kind(folder, note)
    tokenizer = _tokenizer(folder, tokenizer, found, note)
    tensors = Tensors(folder)
    tensors.rename(found.renamed)
    for table, (rows, kept) in found.shortened.items():
        tensors.shorten(table, rows, kept)
    places = {
        name: place
        for name, place in found.places.items()
        if not name.startswith(found.may_lack) or {*place.names} <= {*tensors.shapes}
    }
    names = _matched(tensors, places, found.layout.rules, found.shape.tied)
    try:
        check_positions(found.shape)
    except ValueError as error:
        raise DataError(f"{folder / 'config.json'}: {error}") from None
    model = build(found.shape, Blank)
    flat = FlatParameters(model)
    if new := fill_parameters(model, tensors, places, names):
        note(f"{folder}: has no {', '.join(new)}: drawn anew")
    record = _record(tokenizer, found, called)
    config = TrainConfig.from_json(record["options"])
    return Run(folder, record, config, model, tokenizer), flat


def _tokenizer(folder: Path, file, found: Kind, note) -> Tokenizer:
    """That of a folder, or of another file, with a token for each row of the model's
    table: those that the tokenizer does not know get a name, and are never written."""
    file = Path(file or folder / "tokenizer.json")
    if not file.exists():
        raise DataError(
            f"{file}: is missing: give a tokenizer.json of this model "
            f"({option('tokenizer', 'FILE')}), in transformers by "
            f"AutoTokenizer.from_pretrained(...).save_pretrained(...)"
        )
    tokenizer = read_tokenizer(file)
    n, rows = tokenizer.vocab_size, found.shape.vocab_size
    if n > rows:
        raise DataError(f"{file}: has {n} tokens, the model {rows}")
    if n < rows:
        if rows - n > MOST_UNUSED:
            raise DataError(f"{file}: has {n} tokens, far fewer than the model, {rows}")
        tokenizer = tokenizer.with_specials(f"[unused {i}]" for i in range(n, rows))
        note(f"{file}: has {n} tokens, the model {rows}: the others are never written")
    _settle_specials(folder, tokenizer, found, note)
    return tokenizer


def _matched(tensors: Tensors, places: Places, rules, tied: bool) -> dict[str, str]:
    """The layout's name of each tensor that is needed -> its name in the files, which
    may lack the prefix `rules.BODY`. Raises DataError that lists what is missing, left
    over or of another shape."""
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


def fill_parameters(
    model: Module, tensors: Tensors, places: Places, names: dict[str, str]
) -> list[str]:
    """Copy the tensors into our parameters, a few rows at a time; the parts of the
    model that no place is for, whose weights are drawn."""
    ours = {name.removeprefix("body."): p for name, p in model.named_parameters()}
    where = backend.of(model.tokens.weight.data)
    for name, place in places.items():
        for each in place.names:
            for rows, part in tensors.pieces(names[each]):
                if name in ours:
                    place.put(ours[name].data, each, rows, where.asarray(part))
                elif part.any():
                    raise DataError(
                        f"{tensors.folder}: {each} has numbers that are not 0, and "
                        f"minillm's models have no such bias"
                    )
    left = [name for name in ours if name not in places]
    if left:
        drawn = build(model.config, np.random.default_rng(0))
        for name, p in drawn.named_parameters():
            if name.removeprefix("body.") in left:
                ours[name.removeprefix("body.")].data[...] = p.data
    return list(dict.fromkeys(name.partition(".")[0] for name in left))


def _settle_specials(folder: Path, tokenizer, found: Kind, note) -> None:
    """Tell a tokenizer what ends a text, and what answers begin with. Raises DataError
    where it lacks what the model cannot be used without."""
    tokenizer.roles = read_roles(folder, tokenizer, note)
    for name in found.specials:
        if not tokenizer.ids_of(name):
            raise DataError(
                f"{folder}: tokenizer.json has no special token {name}, which a model "
                f"of {found.layout.name} needs here"
            )
    if found.begin is not None:
        names = {i: name for name, i in tokenizer.specials.items()}
        if found.begin not in names:
            raise DataError(
                f"{folder}: decoder_start_token_id {found.begin} is no special token "
                f"of tokenizer.json"
            )
        tokenizer.begin = names[found.begin]


def _record(tokenizer: Tokenizer, found: Kind, name: str) -> dict:
    """What run.json says of weights from elsewhere."""
    shape = found.shape
    same = {name: getattr(shape, name) for name in OF_SHAPE}
    config = TrainConfig(
        **same, objective=found.objective, tokenizer=tokenizer.kind
    ).resolve()
    return {
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
