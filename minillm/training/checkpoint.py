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
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import load_file, save_file

from minillm import backend
from minillm.errors import DataError
from minillm.training.flat import FlatParameters

FORMAT = 1


def save(folder: Path, step: int, flat: FlatParameters, optimizer, state: dict) -> Path:
    """Write a checkpoint under a temporary name, sync it, and rename it into place."""
    target = folder / f"step-{step:06d}"
    temporary = folder / f".{target.name}.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_arrays(temporary / "model.safetensors", flat.views(flat.data))
    moments = {
        f"{kind}.{name}": view
        for kind, buffer in optimizer.state.items()
        for name, view in flat.views(buffer).items()
    }
    save_arrays(temporary / "optimizer.safetensors", moments)
    write_json(temporary / "state.json", {"step": step, **state})
    files = {path.name: _fingerprint(path) for path in sorted(temporary.iterdir())}
    write_json(temporary / "manifest.json", {"format": FORMAT, "files": files})
    for path in temporary.iterdir():
        _sync(path)
    if target.exists():
        shutil.rmtree(target)
    temporary.rename(target)
    _sync(folder)
    return target


def latest(folder: Path) -> Path | None:
    """The newest checkpoint that is whole; None where there is none."""
    for path in sorted(folder.glob("step-*"), reverse=True):
        if is_whole(path):
            return path
    return None


def is_whole(path: Path) -> bool:
    """Whether every file of a checkpoint is what its manifest says."""
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        files = manifest["files"]
        return manifest["format"] == FORMAT and all(
            _fingerprint(path / name) == files[name]
            for name in ("model.safetensors", "optimizer.safetensors", "state.json")
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def load(path: Path, flat: FlatParameters, optimizer=None) -> dict:
    """Copy a checkpoint's weights (and moments) into their places; returns its state.

    Raises DataError where names or shapes differ from the model's.
    """
    copy_into(flat.views(flat.data), load_arrays(path / "model.safetensors"), path)
    if optimizer is not None:
        places = {
            f"{kind}.{name}": view
            for kind, buffer in optimizer.state.items()
            for name, view in flat.views(buffer).items()
        }
        copy_into(places, load_arrays(path / "optimizer.safetensors"), path)
    return json.loads((path / "state.json").read_text(encoding="utf-8"))


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints."""
    for path in sorted(folder.glob("step-*"))[:-keep]:
        shutil.rmtree(path, ignore_errors=True)


def copy_into(places: dict, arrays: dict, path: Path) -> None:
    if set(places) != set(arrays):
        odd = sorted(set(places) ^ set(arrays))[0]
        raise DataError(
            f"{path}: {odd} is in the model or in the file, but not in both"
        )
    for name, place in places.items():
        if arrays[name].shape != place.shape:
            raise DataError(
                f"{path}: {name} has shape {arrays[name].shape}, the model's has "
                f"{place.shape}"
            )
        place[...] = (backend.of(place)).asarray(arrays[name])


def save_arrays(path: Path, arrays: dict) -> None:
    """Write arrays by name. The library's writer ignores strides and would scramble a
    transposed array: each is made contiguous first."""
    host = {
        name: np.ascontiguousarray(backend.to_numpy(a)) for name, a in arrays.items()
    }
    save_file(host, path)


def load_arrays(path: Path) -> dict:
    """The arrays of a safetensors file by name. Raises DataError when it is damaged."""
    try:
        return load_file(path)
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None


def write_json(path: Path, record: dict) -> None:
    """Write a JSON file whole: under another name first, then renamed into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)


def _fingerprint(path: Path) -> dict:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _sync(path: Path) -> None:
    """Have the system write a file or folder to disk (folders: not on Windows)."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
