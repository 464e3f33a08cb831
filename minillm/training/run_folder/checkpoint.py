"""Checkpoints: directories that are either whole or not there.

    step-000500/ model.safetensors      weights by name
                 optimizer.safetensors  the optimizer's moments by name
                 state.json             where the run stood
                 manifest.json          size and sha256 of the others, written last

Nothing is ever unpickled.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import load_file, save_file

from minillm import backend
from minillm.errors import DataError
from minillm.training.flat import FlatParameters
from minillm.training.run_folder.files import sync, write_json, writing

FOLDER = "checkpoints"  # of a run's, where they lie
FORMAT = 1
FILES = ("model.safetensors", "optimizer.safetensors", "state.json")


def save(folder: Path, flat: FlatParameters, optimizer, state: dict) -> Path:
    """Write a checkpoint under a temporary name, sync it, and rename it into place.

    `state["step"]` names it. Raises DataError where the disk refuses.
    """
    target = at(folder, state["step"])
    temporary = folder / f".{target.name}.{os.getpid()}"
    with writing(target):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            save_arrays(temporary / "model.safetensors", flat.views(flat.data))
            save_arrays(temporary / "optimizer.safetensors", _moments(flat, optimizer))
            write_json(temporary / "state.json", state)
            manifest = {name: _fingerprint(temporary / name) for name in FILES}
            for name in FILES:
                sync(temporary / name)
            write_json(
                temporary / "manifest.json", {"format": FORMAT, "files": manifest}
            )
            sync(temporary / "manifest.json")
            sync(temporary)
            if target.exists():  # a damaged one, which this run has gone back behind
                shutil.rmtree(target)
            temporary.rename(target)
            sync(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return target


def load(path: Path, flat: FlatParameters, optimizer=None) -> dict:
    """Copy a checkpoint's weights (and moments) into their places; returns its state.

    Raises DataError where names, shapes or types differ from the model's.
    """
    _copy(path / "model.safetensors", flat.views(flat.data))
    if optimizer is not None:
        _copy(path / "optimizer.safetensors", _moments(flat, optimizer))
    return json.loads((path / "state.json").read_text(encoding="utf-8"))


def latest(folder: Path) -> Path | None:
    """The newest checkpoint that is whole; None where there is none."""
    return next((path for path in reversed(_all(folder)) if is_whole(path)), None)


def is_whole(path: Path) -> bool:
    """Whether every file of a checkpoint is what its manifest says."""
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        return manifest["format"] == FORMAT and all(
            _fingerprint(path / name) == manifest["files"][name] for name in FILES
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def prune(folder: Path, keep: int, spared: Iterable[int | None] = ()) -> None:
    """Remove all but the newest `keep` checkpoints and those of the steps `spared`, and
    what a crash has left."""
    spared = {at(folder, step) for step in spared}
    old = [path for path in _all(folder)[:-keep] if path not in spared]
    for path in [*old, *folder.glob(".step-*")]:
        shutil.rmtree(path, ignore_errors=True)


def at(folder: Path, step: int | None) -> Path:
    """Where the checkpoint of a step lies, if there is one."""
    return folder / f"step-{step or 0:06d}"


def save_arrays(path: Path, arrays: dict) -> None:
    """Write arrays by name. The library's writer ignores strides and would scramble a
    transposed array: each is made contiguous first."""
    host = {
        name: np.ascontiguousarray(backend.to_numpy(array))
        for name, array in arrays.items()
    }
    save_file(host, path)


def load_arrays(path: Path) -> dict:
    """The arrays of a safetensors file by name. Raises DataError when it is damaged."""
    try:
        return load_file(path)
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None


def _all(folder: Path) -> list[Path]:
    """Every checkpoint of a folder, oldest first."""
    numbered = [path for path in folder.glob("step-*") if path.name[5:].isdecimal()]
    return sorted(numbered, key=lambda path: int(path.name[5:]))


def _moments(flat: FlatParameters, optimizer) -> dict:
    """The optimizer's moments by name, as views."""
    return {
        f"{kind}.{name}": view
        for kind, buffer in optimizer.state.items()
        for name, view in flat.views(buffer).items()
    }


def _copy(path: Path, places: dict) -> None:
    """Copy the arrays of a file into the places of the same names: all, or none."""
    arrays = load_arrays(path)
    if set(places) != set(arrays):
        odd = min(set(places) ^ set(arrays))
        raise DataError(
            f"{path}: {odd} is in the model or in the file, but not in both"
        )
    copy_arrays(arrays, places, path)


def copy_arrays(arrays: dict, places: dict, path: Path) -> None:
    """Copy the arrays of a file into the places of the same names: all, or none.

    Raises DataError where shapes or types differ.
    """
    for name, place in places.items():
        array = arrays[name]
        if (array.shape, array.dtype) != (place.shape, place.dtype):
            raise DataError(
                f"{path}: {name} is {array.dtype} of shape {array.shape}, the model's "
                f"is {place.dtype} of shape {place.shape}"
            )
    for name, place in places.items():
        place[...] = backend.of(place).asarray(arrays[name])


def _fingerprint(path: Path) -> dict:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}
